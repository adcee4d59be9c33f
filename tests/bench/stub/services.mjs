// SQS that keeps jobs until the harness takes them, CloudFront that takes invalidations, SSM with the descriptor, STS and CloudWatch that only answer.
import crypto from "node:crypto";
import { bill, count } from "./counts.mjs";
import { sendXml } from "./wire.mjs";

const parameters = new Map();
const queues = new Map();

export function takeMessages(queue, most) {
  return queues.get(queue)?.splice(0, most) ?? [];
}

export function dropQueue(name) {
  queues.delete(name);
}

export function setParameter(name, value) {
  parameters.set(name, value);
  return "";
}

export function sendJson(response, body, status = 200) {
  const text = Buffer.from(JSON.stringify(body));
  response.writeHead(status, {
    "Content-Type": "application/x-amz-json-1.0",
    "Content-Length": text.length,
    "x-amzn-RequestId": "bench",
  });
  response.end(text);
}

function sent(url, body) {
  const queue = url.slice(url.lastIndexOf("/") + 1);
  if (!queues.has(queue)) queues.set(queue, []);
  queues.get(queue).push(body);
  bill("sqs.Messages", 1);
  bill("sqs.Bytes", Buffer.byteLength(body));
  return { MessageId: crypto.randomUUID(), MD5OfMessageBody: crypto.createHash("md5").update(body).digest("hex") };
}

export function sqs(operation, input, response) {
  count(`sqs.${operation}`);
  if (operation === "SendMessage") return sendJson(response, sent(input.QueueUrl, input.MessageBody));
  if (operation !== "SendMessageBatch") throw new Error(`SQS ${operation} is unknown`);
  const Successful = input.Entries.map(({ Id, MessageBody }) => ({ Id, ...sent(input.QueueUrl, MessageBody) }));
  return sendJson(response, { Successful, Failed: [] });
}

export function ssm(operation, input, response) {
  count(`ssm.${operation}`);
  if (operation !== "GetParameter") throw new Error(`SSM ${operation} is unknown`);
  const Value = parameters.get(input.Name);
  if (Value === undefined) return sendJson(response, { __type: "ParameterNotFound", message: input.Name }, 400);
  return sendJson(response, { Parameter: { Name: input.Name, Type: "String", Value, Version: 1 } });
}

export function cloudfront(method, body, response) {
  if (method === "GET") {
    count("cloudfront.ListInvalidations");
    const summary = "<InvalidationSummary><Id>I1</Id><Status>Completed</Status></InvalidationSummary>";
    return sendXml(response, `<InvalidationList><Items>${summary}</Items></InvalidationList>`);
  }
  count("cloudfront.CreateInvalidation");
  bill("cloudfront.Paths", Number(/<Quantity>(\d+)<\/Quantity>/.exec(body.toString())[1]));
  sendXml(response, "<Invalidation><Id>I1</Id><Status>InProgress</Status></Invalidation>", 201);
}

export function sts(operation, _, response) {
  count(`sts.${operation}`);
  const body =
    '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>' +
    "<Arn>arn:aws:iam::000000000000:user/bench</Arn><UserId>bench</UserId><Account>000000000000</Account>" +
    "</GetCallerIdentityResult></GetCallerIdentityResponse>";
  response.writeHead(200, { "Content-Type": "text/xml", "Content-Length": body.length });
  response.end(body);
}

// PutMetricData comes as JSON, CBOR or a form, by the client's version: 0xa0 is CBOR's empty map.
export function cloudwatch(operation, input, response) {
  count(`cloudwatch.${operation}`);
  if (input) return sendJson(response, {});
  const body = Buffer.from([0xa0]);
  response.writeHead(200, { "smithy-protocol": "rpc-v2-cbor", "Content-Type": "application/cbor", "Content-Length": 1 });
  response.end(body);
}
