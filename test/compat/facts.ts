// What is compared of an answer: one line for each thing that a client can lean on. Two engines answer alike when they
// give the same lines.
import { extract } from 'tar-stream';
import type { WireAnswer } from './wire.ts';

const COMMON_HEADERS = ['api-version', 'docker-experimental', 'ostype', 'server'];
const STREAM_HEADERS = ['connection', 'upgrade'];

/** `values` says of which paths of a JSON answer the value counts and not its type alone. */
export async function factsOf(answer: WireAnswer, values: RegExp | undefined): Promise<string[]> {
  const { status, headers, body } = answer;
  const type = headers['content-type'];
  const missing = COMMON_HEADERS.filter((name) => headers[name] === undefined);
  return [
    `status ${status}`,
    ...(type === undefined ? [] : [`type ${type}`]),
    ...missing.map((name) => `without ${name}`),
    ...(answer.cut ? ['cut off'] : []),
    ...streamHead(answer),
    ...pathStat(headers['x-docker-container-path-stat']),
    ...(await bodyFacts(status, type ?? '', body, values)),
  ];
}

function streamHead({ headers }: WireAnswer): string[] {
  return STREAM_HEADERS.filter(
    (name) => headers[name] !== undefined && !/^(close|keep-alive)$/.test(String(headers[name])),
  ).map((name) => `${name}: ${String(headers[name]).toLowerCase()}`);
}

async function bodyFacts(status: number, type: string, body: Buffer, values: RegExp | undefined): Promise<string[]> {
  if (body.length === 0) return ['no body'];
  if (type.startsWith('application/x-tar')) return await tarFacts(body);
  if (body.subarray(257, 262).toString() === 'ustar') return await tarFacts(body);
  // Engines before 1.42 give logs no type.
  if (type === '' || /raw-stream|multiplexed-stream/.test(type)) return frameFacts(body);
  if (!type.startsWith('application/json')) return [`body ${JSON.stringify(normal(body.toString('utf8')))}`];
  const documents = parseAll(body.toString('utf8'));
  if (!documents) return [`broken JSON ${JSON.stringify(body.toString('utf8').slice(0, 200))}`];
  const [only] = documents;
  if (status >= 400) return messageFacts(only);
  if (documents.length === 1) return [...new Set(shapeOf(only, '', values))];
  return [...documents.map((document) => `document ${JSON.stringify(normalProgress(document))}`), orderOf(documents)];
}

function messageFacts(value: unknown): string[] {
  const keys = Object.keys(Object(value)).filter((key) => key !== 'message');
  return [`message ${smallBeginnings(normal(String(Object(value)['message'])))}`, ...keys.map((key) => `also .${key}`)];
}

/** Newer engines begin their sentences small; no client minds. */
const smallBeginnings = (text: string): string =>
  text.trim().replaceAll(/(?<=^|: )[A-Z](?=[a-z])/g, (letter) => letter.toLowerCase());

/** Every path of a value with the type it has there; lists are one path for all their entries. */
function shapeOf(value: unknown, at: string, values: RegExp | undefined): string[] {
  const path = at === '' ? '.' : at;
  if (value === null) return [`${path} null`];
  if (Array.isArray(value))
    return [`${path} array`, ...value.flatMap((entry: unknown) => shapeOf(entry, `${at}[]`, values))];
  if (typeof value === 'object')
    return [
      `${path} object`,
      ...Object.entries(value).flatMap(([key, entry]) => shapeOf(entry, `${at}.${normal(key)}`, values)),
    ];
  return values?.test(path) ? [`${path} = ${normal(JSON.stringify(value))}`] : [`${path} ${typeof value}`];
}

/** One document, or several after another as streams of progress and events have. */
function parseAll(text: string): unknown[] | undefined {
  try {
    return [JSON.parse(text)];
  } catch {
    return parseLines(text.split('\n').filter((line) => line.trim() !== ''));
  }
}

function parseLines(lines: readonly string[]): unknown[] | undefined {
  try {
    return lines.map((line): unknown => JSON.parse(line));
  } catch {
    return undefined;
  }
}

/** In which order things were told of for the first time. */
function orderOf(documents: readonly unknown[]): string {
  const words = documents.map((document) => {
    const has = Object(document) as Readonly<Record<string, string | undefined>>;
    if (has['error'] !== undefined) return 'error';
    const words = has['Action'] === undefined ? (has['status'] ?? has['stream']) : `${has['Type']} ${has['Action']}`;
    return normal(words ?? '');
  });
  return `in order: ${[...new Set(words)].join(', ')}`;
}

/** How far a transfer was when it was told of differs from run to run. */
function normalProgress(document: unknown): unknown {
  const text = JSON.stringify(document, (key, value: unknown) =>
    ['progress', 'progressDetail', 'time', 'timeNano', 'execDuration'].includes(key) ? undefined : value,
  );
  return sorted(JSON.parse(normal(text)));
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, entry]) => [key, sorted(entry)])
      .sort(),
  );
}

/** Raw streams: what each stream says, where all of it is frames; bytes otherwise. */
function frameFacts(body: Buffer): string[] {
  const frames: { stream: number; bytes: Buffer }[] = [];
  for (let at = 0; at < body.length; ) {
    const stream = body[at] ?? 255;
    const length = body.length >= at + 8 ? body.readUInt32BE(at + 4) : Infinity;
    if (stream > 3 || body.readUIntBE(at + 1, 3) !== 0 || at + 8 + length > body.length)
      return [`raw ${JSON.stringify(normal(body.toString('utf8')))}`];
    const bytes = body.subarray(at + 8, at + 8 + length);
    const earlier = frames.find((frame) => frame.stream === stream);
    if (earlier) earlier.bytes = Buffer.concat([earlier.bytes, bytes]);
    else frames.push({ stream, bytes });
    at += 8 + length;
  }
  return frames.map(({ stream, bytes }) => `frame ${stream} ${JSON.stringify(normal(bytes.toString('utf8')))}`).sort();
}

async function tarFacts(body: Buffer): Promise<string[]> {
  const names: string[] = [];
  const unpack = extract();
  unpack.end(body);
  for await (const entry of unpack) {
    const { name, type, mode, size, linkname, uid, gid } = entry.header;
    entry.resume();
    if (names.length < 50)
      names.push(
        `entry ${normal(name)} ${type} ${((mode ?? 0) & 0o7777).toString(8)} ${uid}:${gid} ${size} ${linkname ?? ''}`,
      );
  }
  return names;
}

function pathStat(header: string | string[] | undefined): string[] {
  if (typeof header !== 'string') return [];
  const stat: unknown = JSON.parse(Buffer.from(header, 'base64').toString('utf8'));
  return shapeOf(stat, 'stat', /name|size|mode|linkTarget/);
}

/** What differs from run to run is cut out. */
export function normal(text: string): string {
  return text
    .replaceAll(/(\/tmp\/compat-docker-\w+\/1\/data|\/var\/lib\/compat-cluster\/node1)(?=\/)/g, '<root>')
    .replaceAll(/sha256:[0-9a-f]{64}/g, '<digest>')
    .replaceAll(/\b[0-9a-f]{64,65}\b/g, '<id>')
    .replaceAll(/\b[0-9a-f]{12}\b/g, '<short id>')
    .replaceAll(/\b[0-9a-z]{25}\b/g, '<cluster id>')
    .replaceAll(/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)/g, '<time>')
    .replaceAll(/\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b/g, '<mac>')
    .replaceAll(/\b(172|10)(\.\d+){3}\b/g, '<address>')
    .replaceAll(/\b\d+ (millisecond|second)s?\b|\bLess than a second\b|\bAbout a minute\b/g, '<moment>');
}
