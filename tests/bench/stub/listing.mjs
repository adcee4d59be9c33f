// ListObjects, both versions, with prefix, delimiter, markers and pages of up to 1,000.
import { escape } from "./wire.mjs";

const LAST = "\uffff";

// The first index whose key is not less than `key`.
function position(keys, key) {
  let [low, high] = [0, keys.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (keys[middle] < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

export function list(name, objects, keys, parameters, second) {
  const get = (parameter) => parameters.get(parameter) ?? "";
  const [prefix, delimiter] = [get("prefix"), get("delimiter")];
  const most = Math.min(Number(parameters.get("max-keys") ?? 1000), 1000);
  const encoded = parameters.has("encoding-type")
    ? (text) => encodeURIComponent(text).replace(/%2F/g, "/")
    : escape;
  const after = second ? get("continuation-token") || get("start-after") : get("marker");
  let at = position(keys, after > prefix ? after : prefix);
  if (after && keys[at] === after) at++;
  let [contents, folders, found, last, more] = ["", "", 0, "", false];
  while (at < keys.length && keys[at].startsWith(prefix)) {
    const key = keys[at];
    const cut = delimiter ? key.indexOf(delimiter, prefix.length) : -1;
    const folder = cut < 0 ? "" : key.slice(0, cut + delimiter.length);
    if (folder && after.startsWith(folder)) {
      at = position(keys, folder + LAST);
      continue;
    }
    if (found >= most) {
      more = true;
      break;
    }
    found++;
    if (folder) {
      folders += `<CommonPrefixes><Prefix>${encoded(folder)}</Prefix></CommonPrefixes>`;
      last = folder + LAST;
      at = position(keys, last);
    } else {
      const { size, md5, modified } = objects.get(key);
      contents +=
        `<Contents><Key>${encoded(key)}</Key><LastModified>${time(modified)}</LastModified>` +
        `<ETag>&quot;${md5}&quot;</ETag><Size>${size}</Size><StorageClass>STANDARD</StorageClass></Contents>`;
      last = key;
      at++;
    }
  }
  const next = second
    ? `<NextContinuationToken>${escape(last)}</NextContinuationToken>`
    : `<NextMarker>${encoded(last)}</NextMarker>`;
  return (
    '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
    `<Name>${name}</Name><Prefix>${encoded(prefix)}</Prefix><KeyCount>${found}</KeyCount><MaxKeys>${most}</MaxKeys>` +
    (delimiter ? `<Delimiter>${escape(delimiter)}</Delimiter>` : "") +
    (parameters.has("encoding-type") ? "<EncodingType>url</EncodingType>" : "") +
    `<IsTruncated>${more}</IsTruncated>${more ? next : ""}${contents}${folders}</ListBucketResult>`
  );
}

const times = new Map();

function time(modified) {
  let text = times.get(modified);
  if (!text) {
    if (times.size > 10_000) times.clear();
    times.set(modified, (text = new Date(modified * 1000).toISOString()));
  }
  return text;
}
