// What was asked of the server: requests by service and operation, and the units that DynamoDB would bill.
let requests = {};
let units = {};
let cpu = process.cpuUsage();

export function count(operation) {
  requests[operation] = (requests[operation] ?? 0) + 1;
}

export function bill(unit, amount) {
  units[unit] = (units[unit] ?? 0) + amount;
}

export function counts() {
  const { user, system } = process.cpuUsage(cpu);
  return { requests, units, cpu_seconds: (user + system) / 1e6 };
}

export function reset() {
  requests = {};
  units = {};
  cpu = process.cpuUsage();
}
