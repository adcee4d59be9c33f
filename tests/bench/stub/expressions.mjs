// Condition and update expressions of DynamoDB, as far as siteferry uses them. What is unknown throws.
const TOKEN = /\s*(<>|<=|>=|[=<>(),+-]|[\w.#:]+)/y;
const parsed = new Map();

function tokens(text) {
  const found = [];
  TOKEN.lastIndex = 0;
  for (let match; TOKEN.lastIndex < text.trimEnd().length && (match = TOKEN.exec(text)); ) found.push(match[1]);
  return found;
}

// Gives a function of (item, names, values); kept, since clients send the same few texts all the time.
function parse(text) {
  const list = tokens(text);
  let at = 0;
  const take = (token) => list[at]?.toUpperCase() === token && (at++, true);
  const need = (token) => {
    if (!take(token)) throw new Error(`expected ${token} in ${text}`);
  };
  function operand() {
    const token = list[at++];
    if (token.startsWith(":")) return (_, __, values) => values[token];
    return (item, names) => item?.[token.startsWith("#") ? names[token] : token];
  }
  const scalar = (value) => value && (value.N !== undefined ? Number(value.N) : Object.values(value)[0]);
  const COMPARE = {
    "=": (a, b) => a === b,
    "<>": (a, b) => a !== b,
    "<": (a, b) => a < b,
    "<=": (a, b) => a <= b,
    ">": (a, b) => a > b,
    ">=": (a, b) => a >= b,
  };
  function term() {
    if (take("NOT")) {
      const inner = term();
      return (...args) => !inner(...args);
    }
    if (take("(")) {
      const inner = any();
      need(")");
      return inner;
    }
    for (const [name, wanted] of [["ATTRIBUTE_EXISTS", true], ["ATTRIBUTE_NOT_EXISTS", false]]) {
      if (take(name)) {
        need("(");
        const value = operand();
        need(")");
        return (...args) => (value(...args) !== undefined) === wanted;
      }
    }
    if (take("BEGINS_WITH")) {
      need("(");
      const value = operand();
      need(",");
      const start = operand();
      need(")");
      return (...args) => Boolean(scalar(value(...args))?.startsWith(scalar(start(...args))));
    }
    const left = operand();
    const compare = COMPARE[list[at++]];
    if (!compare) throw new Error(`unknown comparison in ${text}`);
    const right = operand();
    return (...args) => {
      const [a, b] = [scalar(left(...args)), scalar(right(...args))];
      return a !== undefined && b !== undefined && compare(a, b);
    };
  }
  function all() {
    const terms = [term()];
    while (take("AND")) terms.push(term());
    return (...args) => terms.every((one) => one(...args));
  }
  function any() {
    const terms = [all()];
    while (take("OR")) terms.push(all());
    return (...args) => terms.some((one) => one(...args));
  }
  const whole = any();
  if (at !== list.length) throw new Error(`cannot read all of ${text}`);
  return whole;
}

export function holds({ ConditionExpression: text, ExpressionAttributeNames, ExpressionAttributeValues }, item) {
  let condition = parsed.get(text);
  if (!condition) parsed.set(text, (condition = parse(text)));
  return condition(item, ExpressionAttributeNames ?? {}, ExpressionAttributeValues ?? {});
}

export function update({ UpdateExpression: text, ExpressionAttributeNames: names = {}, ExpressionAttributeValues: values = {} }, item) {
  for (const [, clause, body] of text.matchAll(/\b(SET|REMOVE)\s+(.*?)(?=\s+(?:SET|REMOVE)\s|$)/g)) {
    for (const part of body.split(",")) {
      const [name, value] = part.split("=").map((one) => one.trim());
      const attribute = names[name] ?? name;
      if (clause === "REMOVE") delete item[attribute];
      else if (values[value] !== undefined) item[attribute] = values[value];
      else throw new Error(`cannot read ${text}`);
    }
  }
  return item;
}
