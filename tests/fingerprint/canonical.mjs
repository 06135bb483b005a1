// docs/fingerprint.md in JavaScript, written from the page and not from the Python.
//
// Reads {"values": [notation, ...], "components": [{name: text}, ...]} from standard input (the notation is
// that of values.py) and writes {"values": [text, ...], "components": [fingerprint, ...]}.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

const string = (text) => JSON.stringify(text);
const bytewise = (a, b) => Buffer.compare(Buffer.from(a, "utf8"), Buffer.from(b, "utf8"));
const tagged = (tag, text) => `{"$${tag}":${text}}`;
const list = (texts) => `[${texts.join(",")}]`;

function double(bits) {
  const value = Buffer.from(bits, "hex").readDoubleBE(0);
  if (Number.isNaN(value)) return tagged("float", '"NaN"');
  if (!Number.isFinite(value)) return tagged("float", value > 0 ? '"Infinity"' : '"-Infinity"');
  if (Object.is(value, -0)) return "-0.0";
  const text = String(value);
  return /[.e]/.test(text) ? text : `${text}.0`;
}

function mapping(pairs) {
  if (pairs.every(([key]) => key[0] === "text")) {
    const sorted = [...pairs].sort(([a], [b]) => bytewise(a[1], b[1]));
    const written = sorted.map(([[, key], value]) => `${string(key.startsWith("$") ? `$${key}` : key)}:${text(value)}`);
    return `{${written.join(",")}}`;
  }
  const written = pairs.map(([key, value]) => [text(key), text(value)]).sort(([a], [b]) => bytewise(a, b));
  return tagged("map", list(written.map(list)));
}

function decimal(coefficient, exponent) {
  return tagged("decimal", string(exponent === undefined ? coefficient : `${coefficient}E${exponent}`));
}

// A set holds equal things once, and Python's 1 is in it once however often it is given.
const distinct = (texts) => [...new Set(texts)];

const forms = {
  null: () => "null",
  true: () => "true",
  false: () => "false",
  int: (digits) => BigInt(digits).toString(),
  float: double,
  text: string,
  bytes: (hex) => tagged("bytes", string(hex)),
  list: (items) => list(items.map(text)),
  set: (items) => tagged("set", list(distinct(items.map(text)).sort(bytewise))),
  map: mapping,
  complex: (real, imaginary) => tagged("complex", list([double(real), double(imaginary)])),
  decimal,
  fraction: (top, bottom) => tagged("fraction", list([BigInt(top), BigInt(bottom)])),
  timedelta: (microseconds) => tagged("timedelta", BigInt(microseconds).toString()),
  datetime: (written) => tagged("datetime", string(written)),
  date: (written) => tagged("date", string(written)),
  time: (written) => tagged("time", string(written)),
  uuid: (written) => tagged("uuid", string(written)),
  path: (written) => tagged("path", string(written)),
  range: (...bounds) => tagged("range", list(bounds)),
  enum: (name, value) => tagged("enum", list([string(name), text(value)])),
  object: (name, fields) =>
    tagged("object", list([string(name), mapping(fields.map(([field, value]) => [["text", field], value]))])),
  numpy: (dtype, value) => tagged("numpy", list([string(dtype), text(value)])),
  array: (dtype, shape, value) => tagged("array", list([string(dtype), list(shape), text(value)])),
};

function text([kind, ...rest]) {
  return forms[kind](...rest);
}

const sha256 = (written) => createHash("sha256").update(written, "utf8").digest("hex");

function component(written) {
  return Buffer.byteLength(written, "utf8") <= 256 ? written : `sha256:${sha256(written)}`;
}

function fingerprint(components) {
  const names = Object.keys(components).sort(bytewise);
  const pairs = names.map((name) => `${string(name)}:${string(component(components[name]))}`);
  return `hw1:${sha256(`{"components":{${pairs.join(",")}},"version":1}`)}`;
}

const asked = JSON.parse(readFileSync(0, "utf8"));
const answers = { values: asked.values.map(text), components: asked.components.map(fingerprint) };
process.stdout.write(JSON.stringify(answers));
