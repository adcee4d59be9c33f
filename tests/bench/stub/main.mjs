// A server that speaks as much of S3, DynamoDB, SQS, SSM, STS, CloudFront and CloudWatch as siteferry and its peers use, fast, and
// counts requests. Nothing is checked: no signature, no permission. What the clients' work depends on is as in AWS.
// node main.mjs CERTIFICATE KEY     prints {"port": N} once it listens on 127.0.0.1
//
// GET  /__bench/counts              {"requests": {"s3.PutObject": 3, …}, "units": {…}, "cpu_seconds": …}
// POST /__bench/reset               counts begin anew; listings are sorted now rather than while a client waits
// POST /__bench/drop?name=N         a bucket, table or queue is emptied
// POST /__bench/take?queue=Q&most=N a JSON list of the oldest messages of a queue, which are no longer in it
// POST /__bench/seed?bucket=B&file=F     objects as F lists them: lines of "size md5 key"
// POST /__bench/bodies?folder=F     what is read of an object is the file with its key as path below F
// GET  /__bench/objects?bucket=B    lines of "size md5 key"
// POST /__bench/parameter?name=N    the body becomes the value of an SSM parameter
import fs from "node:fs";
import https from "node:https";
import { control } from "./control.mjs";
import { count } from "./counts.mjs";
import { dynamodb } from "./dynamodb.mjs";
import { s3 } from "./s3.mjs";
import { cloudfront, cloudwatch, sqs, ssm, sts } from "./services.mjs";

const BY_TARGET = { DynamoDB_20120810: dynamodb, AmazonSQS: sqs, AmazonSSM: ssm, GraniteServiceVersion20100801: cloudwatch };

function answer(request, response, body) {
  const { url, headers } = request;
  if (url.startsWith("/__bench/")) return control(url, body, response);
  const target = headers["x-amz-target"];
  if (target) {
    const dot = target.indexOf(".");
    const service = BY_TARGET[target.slice(0, dot)];
    if (!service) throw new Error(`unknown target ${target}`);
    return service(target.slice(dot + 1), JSON.parse(body.toString()), response);
  }
  if (/^\/\d{4}-\d\d-\d\d\/distribution\/\w+\/invalidation(\?|$)/.test(url)) return cloudfront(request.method, body, response);
  const cbor = /^\/service\/\w+\/operation\/(\w+)$/.exec(url);
  if (cbor) return cloudwatch(cbor[1], null, response);
  if (request.method === "POST" && (headers["content-type"] ?? "").startsWith("application/x-www-form-urlencoded") && url === "/") {
    const action = new URLSearchParams(body.toString()).get("Action");
    return (action === "GetCallerIdentity" ? sts : cloudwatch)(action, null, response);
  }
  return s3(request, body, response);
}

const options = {
  cert: fs.readFileSync(process.argv[2]),
  key: fs.readFileSync(process.argv[3]),
  keepAliveTimeout: 120_000,
  noDelay: true,
};
const server = https.createServer(options, (request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    try {
      answer(request, response, chunks.length === 1 ? chunks[0] : Buffer.concat(chunks));
    } catch (error) {
      count("stub.Error");
      console.error(`${request.method} ${request.url}: ${error.stack}`);
      response.writeHead(501, { "Content-Length": 0 });
      response.end();
    }
  });
});
server.listen(0, "127.0.0.1", () => console.log(JSON.stringify({ port: server.address().port })));
