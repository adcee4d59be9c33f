// What the harness asks of the server, outside the counts.
import fs from "node:fs";
import { counts, reset } from "./counts.mjs";
import { dropTable } from "./dynamodb.mjs";
import { dropBucket, objectLines, seedObject, serveBodies, sortListings } from "./s3.mjs";
import { dropQueue, setParameter, takeMessages } from "./services.mjs";

export function control(url, body, response) {
  const { pathname, searchParams } = new URL(url, "https://localhost");
  const actions = {
    counts: () => JSON.stringify(counts()),
    reset: () => {
      sortListings();
      reset();
      return "";
    },
    drop: () => {
      dropBucket(searchParams.get("name"));
      dropTable(searchParams.get("name"));
      dropQueue(searchParams.get("name"));
      return "";
    },
    seed: () => {
      const bucket = searchParams.get("bucket");
      for (const line of fs.readFileSync(searchParams.get("file"), "utf8").split("\n")) {
        const [, size, md5, key] = /^(\d+) (\w+) (.*)$/.exec(line) ?? [];
        if (key !== undefined) seedObject(bucket, key, Number(size), md5);
      }
      return "";
    },
    bodies: () => serveBodies(searchParams.get("folder")),
    take: () => JSON.stringify(takeMessages(searchParams.get("queue"), Number(searchParams.get("most")))),
    objects: () => objectLines(searchParams.get("bucket")),
    parameter: () => setParameter(searchParams.get("name"), body.toString()),
  };
  const answer = Buffer.from(actions[pathname.slice("/__bench/".length)]());
  response.writeHead(200, { "Content-Length": answer.length });
  response.end(answer);
}
