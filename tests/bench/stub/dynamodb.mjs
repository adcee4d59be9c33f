// DynamoDB tables keyed by pk and sk: conditions, transactions, parallel scans in pages of 1 MB.
import { bill, count } from "./counts.mjs";
import { holds, update } from "./expressions.mjs";
import { sendJson } from "./services.mjs";

const PAGE_BYTES = 1 << 20;
const tables = new Map();

export function dropTable(name) {
  tables.delete(name);
}

function open(name) {
  let table = tables.get(name);
  if (!table) tables.set(name, (table = { items: new Map(), order: null }));
  return table;
}

const id = ({ pk, sk }) => `${pk.S}\0${sk.S}`;

function valueBytes(value) {
  const [[type, content]] = Object.entries(value);
  if (type === "S") return Buffer.byteLength(content);
  if (type === "B") return Math.floor((content.length * 3) / 4);
  if (type === "N") return (content.length >> 1) + 1;
  if (type === "L") return 3 + content.reduce((sum, one) => sum + 1 + valueBytes(one), 0);
  if (type === "M") return 3 + Object.entries(content).reduce((sum, [k, v]) => sum + 1 + k.length + valueBytes(v), 0);
  return 1;
}

const itemBytes = (item) => Object.entries(item).reduce((sum, [name, value]) => sum + name.length + valueBytes(value), 0);

function write(table, item, times = 1) {
  const bytes = itemBytes(item);
  if (!table.items.has(id(item))) table.order = null;
  table.items.set(id(item), { item, bytes });
  bill("dynamodb.WriteUnits", times * Math.ceil(bytes / 1024));
}

function read(found, times = 1) {
  bill("dynamodb.ReadUnits", times * Math.max(1, Math.ceil((found?.bytes ?? 0) / 4096)));
  return found?.item;
}

function segmentOf(pk, total) {
  let hash = 2166136261;
  for (let i = 0; i < pk.length; i++) hash = Math.imul(hash ^ pk.charCodeAt(i), 16777619);
  return (hash >>> 0) % total;
}

function sorted(table) {
  table.order ??= [...table.items.keys()].sort();
  return table.order;
}

function page(table, input, keys, wanted) {
  const { ExclusiveStartKey: start, Limit: limit = Infinity } = input;
  const after = start && id(start);
  const Items = [];
  let bytes = 0;
  let passed = after === undefined;
  for (const key of keys) {
    if (!passed || !wanted(key)) {
      passed ||= key === after;
      continue;
    }
    const found = table.items.get(key);
    Items.push(found.item);
    bytes += found.bytes;
    if (bytes >= PAGE_BYTES || Items.length >= limit) break;
  }
  bill("dynamodb.ReadUnits", Math.max(1, Math.ceil(bytes / 4096)) * (input.ConsistentRead ? 1 : 0.5));
  const last = Items.at(-1);
  const ended = bytes < PAGE_BYTES && Items.length < limit;
  return { Items, Count: Items.length, ...(ended ? {} : { LastEvaluatedKey: { pk: last.pk, sk: last.sk } }) };
}

function lowerBound(order, key) {
  let low = 0;
  for (let high = order.length; low < high; ) {
    const middle = (low + high) >> 1;
    if (order[middle] < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

class Refused extends Error {
  constructor(type, more = {}) {
    super(type);
    this.body = { __type: `com.amazonaws.dynamodb.v20120810#${type}`, message: type, ...more };
  }
}

function check(input, old) {
  if (input.ConditionExpression && !holds(input, old)) throw new Refused("ConditionalCheckFailedException");
}

function transact({ TransactItems }) {
  const steps = TransactItems.map((step) => Object.entries(step)[0]);
  const reasons = steps.map(([, one]) => {
    const old = open(one.TableName).items.get(id(one.Key ?? one.Item))?.item;
    return { Code: one.ConditionExpression && !holds(one, old) ? "ConditionalCheckFailed" : "None" };
  });
  if (reasons.some(({ Code }) => Code !== "None")) {
    throw new Refused("TransactionCanceledException", { CancellationReasons: reasons });
  }
  for (const [kind, one] of steps) {
    const table = open(one.TableName);
    if (kind === "Put") write(table, one.Item, 2);
    else if (kind === "ConditionCheck") bill("dynamodb.WriteUnits", 2);
    else if (kind === "Delete") remove(table, one.Key);
    else throw new Error(`TransactWriteItems with ${kind} is unknown`);
  }
  return {};
}

function remove(table, key) {
  if (table.items.delete(id(key))) table.order = null;
  bill("dynamodb.WriteUnits", 1);
}

const OPERATIONS = {
  GetItem(input) {
    const Item = read(open(input.TableName).items.get(id(input.Key)), input.ConsistentRead ? 1 : 0.5);
    return Item ? { Item } : {};
  },
  PutItem(input) {
    const table = open(input.TableName);
    check(input, table.items.get(id(input.Item))?.item);
    write(table, input.Item);
    return {};
  },
  UpdateItem(input) {
    const table = open(input.TableName);
    const old = table.items.get(id(input.Key))?.item;
    check(input, old);
    const item = update(input, { ...old, ...input.Key });
    write(table, item);
    return input.ReturnValues === "ALL_NEW" ? { Attributes: item } : {};
  },
  DeleteItem(input) {
    const table = open(input.TableName);
    check(input, table.items.get(id(input.Key))?.item);
    remove(table, input.Key);
    return {};
  },
  TransactWriteItems: transact,
  BatchGetItem(input) {
    const Responses = {};
    for (const [name, { Keys }] of Object.entries(input.RequestItems)) {
      Responses[name] = Keys.map((key) => read(open(name).items.get(id(key)))).filter(Boolean);
    }
    return { Responses, UnprocessedKeys: {} };
  },
  BatchWriteItem(input) {
    for (const [name, writes] of Object.entries(input.RequestItems)) {
      for (const { PutRequest, DeleteRequest } of writes) {
        if (PutRequest) write(open(name), PutRequest.Item);
        else remove(open(name), DeleteRequest.Key);
      }
    }
    return { UnprocessedItems: {} };
  },
  Scan(input) {
    const { Segment: segment, TotalSegments: total } = input;
    const table = open(input.TableName);
    return page(table, input, sorted(table), (key) =>
      total === undefined || segmentOf(key.slice(0, key.indexOf("\0")), total) === segment);
  },
  Query(input) {
    const table = open(input.TableName);
    const condition = { ...input, ConditionExpression: input.KeyConditionExpression };
    const order = sorted(table);
    const prefix = `${input.ExpressionAttributeValues[":pk"].S}\0`;
    const first = lowerBound(order, prefix);
    const keys = order.slice(first, lowerBound(order, `${prefix.slice(0, -1)}\x01`));
    if (input.ScanIndexForward === false) keys.reverse();
    return page(table, input, keys, (key) => holds(condition, table.items.get(key).item));
  },
};

export function dynamodb(operation, input, response) {
  count(`dynamodb.${operation}`);
  const work = OPERATIONS[operation];
  if (!work) throw new Error(`DynamoDB ${operation} is unknown`);
  try {
    return sendJson(response, work(input));
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    return sendJson(response, error.body, 400);
  }
}
