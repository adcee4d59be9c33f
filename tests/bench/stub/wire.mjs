// Forms of S3's protocol: XML, the headers that an object keeps, aws-chunked bodies.
export const KEPT_HEADER =
  /^(x-amz-meta-.*|content-type|cache-control|content-disposition|content-language|x-amz-checksum-(?!algorithm|type).*)$/;

const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

export const escape = (text) => text.replace(/[&<>"]/g, (character) => ENTITIES[character]);

export function sendXml(response, xml, status = 200) {
  const body = Buffer.from(`<?xml version="1.0" encoding="UTF-8"?>\n${xml}`);
  response.writeHead(status, {
    "Content-Type": "application/xml",
    "Content-Length": body.length,
    "x-amz-request-id": "bench",
  });
  response.end(body);
}

export function dechunk(body) {
  const parts = [];
  for (let at = 0; ; ) {
    const end = body.indexOf("\r\n", at);
    const size = end < 0 ? 0 : parseInt(body.toString("latin1", at, end), 16);
    if (!size) return parts.length === 1 ? parts[0] : Buffer.concat(parts);
    parts.push(body.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}
