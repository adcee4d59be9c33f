// S3 with path-style addresses: bodies are dropped once their MD5 is known; size, ETag, checksum and headers stay.
// What is read are the files of a folder that the harness names.
import crypto from "node:crypto";
import fs from "node:fs";
import { count } from "./counts.mjs";
import { list } from "./listing.mjs";
import { dechunk, escape, KEPT_HEADER, sendXml } from "./wire.mjs";

const buckets = new Map();
const uploads = new Map();
let uploadNumber = 0;
let bodies = "";

export function openBucket(name) {
  let bucket = buckets.get(name);
  if (!bucket) buckets.set(name, (bucket = { objects: new Map(), order: null }));
  return bucket;
}

export function dropBucket(name) {
  buckets.delete(name);
}

export function serveBodies(folder) {
  bodies = folder;
  return "";
}

export function seedObject(bucket, key, size, md5) {
  write(openBucket(bucket), key, { size, md5, modified: seconds(), headers: null });
}

export function objectLines(bucket) {
  let text = "";
  for (const [key, { size, md5 }] of openBucket(bucket).objects) text += `${size} ${md5} ${key}\n`;
  return text;
}

export function sortListings() {
  for (const bucket of buckets.values()) sorted(bucket);
}

function sorted(bucket) {
  bucket.order ??= [...bucket.objects.keys()].sort();
  return bucket.order;
}

function write(bucket, key, object) {
  if (!bucket.objects.has(key)) bucket.order = null;
  bucket.objects.set(key, object);
}

function remove(bucket, key) {
  if (bucket.objects.delete(key)) bucket.order = null;
}

const seconds = () => Math.floor(Date.now() / 1000);

function kept(headers) {
  const found = {};
  for (const name in headers) if (KEPT_HEADER.test(name)) found[name] = headers[name];
  return found;
}

function empty(response, headers = {}, status = 200) {
  response.writeHead(status, { "Content-Length": 0, "x-amz-request-id": "bench", ...headers });
  response.end();
}

export function s3(request, body, response) {
  const { method, url, headers } = request;
  const mark = url.indexOf("?");
  const path = decodeURIComponent((mark < 0 ? url : url.slice(0, mark)).slice(1));
  const parameters = new URLSearchParams(mark < 0 ? "" : url.slice(mark + 1));
  const slash = path.indexOf("/");
  const name = slash < 0 ? path : path.slice(0, slash);
  const key = slash < 0 ? "" : path.slice(slash + 1);
  if (!name) {
    count("s3.ListBuckets");
    return sendXml(response, "<ListAllMyBucketsResult><Buckets/></ListAllMyBucketsResult>");
  }
  const bucket = openBucket(name);
  if (!key) return aboutBucket(method, bucket, name, parameters, body, response);
  const has = (parameter) => parameters.has(parameter);
  if (has("acl")) return accessControl(method, response);
  if (method === "PUT" && headers["x-amz-copy-source"]) return copy(bucket, key, headers, response);
  if (method === "PUT" && has("uploadId")) return putPart(parameters, content(headers, body), response);
  if (method === "PUT") return put(bucket, key, headers, content(headers, body), response);
  if (method === "POST" && has("uploads")) return begin(name, key, headers, response);
  if (method === "POST" && has("uploadId")) return complete(bucket, name, key, parameters.get("uploadId"), response);
  if (method === "DELETE") {
    count(has("uploadId") ? "s3.AbortMultipartUpload" : "s3.DeleteObject");
    if (!has("uploadId")) remove(bucket, key);
    return empty(response, {}, 204);
  }
  return look(method, bucket, key, headers, response);
}

function aboutBucket(method, bucket, name, parameters, body, response) {
  if (method === "POST" && parameters.has("delete")) {
    count("s3.DeleteObjects");
    let deleted = "";
    for (const [, key] of body.toString().matchAll(/<Key>([^<]*)<\/Key>/g)) {
      remove(bucket, key.replace(/&lt;/g, "<").replace(/&gt;/g, ">").replace(/&quot;/g, '"').replace(/&amp;/g, "&"));
      deleted += `<Deleted><Key>${key}</Key></Deleted>`;
    }
    return sendXml(response, `<DeleteResult>${deleted}</DeleteResult>`);
  }
  if (method === "PUT" || method === "HEAD") {
    count(method === "PUT" ? "s3.CreateBucket" : "s3.HeadBucket");
    return empty(response);
  }
  if (parameters.has("location")) {
    count("s3.GetBucketLocation");
    return sendXml(response, '<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/"/>');
  }
  for (const [parameter, operation, root] of [
    ["versioning", "GetBucketVersioning", "VersioningConfiguration"],
    ["uploads", "ListMultipartUploads", "ListMultipartUploadsResult"],
  ]) {
    if (parameters.has(parameter)) {
      count(`s3.${operation}`);
      return sendXml(response, `<${root}/>`);
    }
  }
  const second = parameters.get("list-type") === "2";
  count(second ? "s3.ListObjectsV2" : "s3.ListObjects");
  return sendXml(response, list(name, bucket.objects, sorted(bucket), parameters, second));
}

function content(headers, body) {
  const chunked =
    (headers["x-amz-content-sha256"] ?? "").startsWith("STREAMING") ||
    (headers["content-encoding"] ?? "").includes("aws-chunked");
  return chunked ? dechunk(body) : body;
}

function put(bucket, key, headers, body, response) {
  count("s3.PutObject");
  const md5 = crypto.hash("md5", body);
  write(bucket, key, { size: body.length, md5, modified: seconds(), headers: kept(headers) });
  empty(response, { ETag: `"${md5}"` });
}

function putPart(parameters, body, response) {
  count("s3.UploadPart");
  const md5 = crypto.hash("md5", body);
  uploads.get(parameters.get("uploadId")).parts.set(Number(parameters.get("partNumber")), { size: body.length, md5 });
  empty(response, { ETag: `"${md5}"` });
}

function begin(name, key, headers, response) {
  count("s3.CreateMultipartUpload");
  const id = `upload-${++uploadNumber}`;
  uploads.set(id, { headers: kept(headers), parts: new Map() });
  sendXml(
    response,
    `<InitiateMultipartUploadResult><Bucket>${name}</Bucket><Key>${escape(key)}</Key><UploadId>${id}</UploadId>` +
      "</InitiateMultipartUploadResult>",
  );
}

function complete(bucket, name, key, id, response) {
  count("s3.CompleteMultipartUpload");
  const { headers, parts } = uploads.get(id);
  uploads.delete(id);
  let size = 0;
  let digests = "";
  for (const number of [...parts.keys()].sort((a, b) => a - b)) {
    size += parts.get(number).size;
    digests += parts.get(number).md5;
  }
  const md5 = `${crypto.hash("md5", Buffer.from(digests, "hex"))}-${parts.size}`;
  write(bucket, key, { size, md5, modified: seconds(), headers });
  sendXml(
    response,
    `<CompleteMultipartUploadResult><Location>x</Location><Bucket>${name}</Bucket><Key>${escape(key)}</Key>` +
      `<ETag>&quot;${md5}&quot;</ETag></CompleteMultipartUploadResult>`,
  );
}

function copy(bucket, key, headers, response) {
  count("s3.CopyObject");
  const path = decodeURIComponent(headers["x-amz-copy-source"]).replace(/^\//, "");
  const slash = path.indexOf("/");
  const source = openBucket(path.slice(0, slash)).objects.get(path.slice(slash + 1));
  if (!source) return sendXml(response, "<Error><Code>NoSuchKey</Code></Error>", 404);
  const replaced = headers["x-amz-metadata-directive"] === "REPLACE" ? { headers: kept(headers) } : {};
  write(bucket, key, { ...source, modified: seconds(), ...replaced });
  const modified = new Date(seconds() * 1000).toISOString();
  return sendXml(
    response,
    `<CopyObjectResult><LastModified>${modified}</LastModified><ETag>&quot;${source.md5}&quot;</ETag></CopyObjectResult>`,
  );
}

function accessControl(method, response) {
  count(method === "PUT" ? "s3.PutObjectAcl" : "s3.GetObjectAcl");
  if (method === "PUT") return empty(response);
  const owner = "<Owner><ID>bench</ID></Owner>";
  return sendXml(response, `<AccessControlPolicy>${owner}<AccessControlList/></AccessControlPolicy>`);
}

function look(method, bucket, key, headers, response) {
  count(method === "HEAD" ? "s3.HeadObject" : "s3.GetObject");
  const found = bucket.objects.get(key);
  if (!found) {
    if (method === "HEAD") return empty(response, {}, 404);
    return sendXml(response, "<Error><Code>NoSuchKey</Code></Error>", 404);
  }
  const shown = { ...found.headers };
  if (headers["x-amz-checksum-mode"]) shown["x-amz-checksum-type"] = "FULL_OBJECT";
  else for (const header in shown) if (header.startsWith("x-amz-checksum")) delete shown[header];
  let body = method === "GET" && bodies ? fs.readFileSync(`${bodies}/${key}`) : null;
  let status = 200;
  const range = body && /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "");
  if (range && Number(range[1]) < body.length) {
    status = 206;
    const last = Math.min(Number(range[2]), body.length - 1);
    shown["Content-Range"] = `bytes ${range[1]}-${last}/${body.length}`;
    body = body.subarray(Number(range[1]), last + 1);
    for (const header in shown) if (header.startsWith("x-amz-checksum")) delete shown[header];
  }
  response.writeHead(status, {
    ...shown,
    ETag: `"${found.md5}"`,
    "Last-Modified": new Date(found.modified * 1000).toUTCString(),
    "Content-Length": method === "HEAD" ? found.size : (body?.length ?? 0),
    "Accept-Ranges": "bytes",
    "x-amz-version-id": "bench",
  });
  return response.end(body);
}
