// The DNS messages that the resolver reads and writes. Pure. Sources: RFC 1035, 2782 (SRV), 3596 (AAAA), 6891 (EDNS).
// Invariant: nothing that a client sends throws; what is not understood is answered with a code or not at all.

export const TYPE = { a: 1, ptr: 12, aaaa: 28, srv: 33, opt: 41, any: 255 } as const;
export const CODE = { ok: 0, malformed: 1, failed: 2, unknownName: 3, notImplemented: 4, refused: 5 } as const;

const HEADER_LENGTH = 12;
const CLASS_IN = 1;
const FLAG = { response: 0x80, recursionDesired: 0x01, truncated: 0x02 } as const; // third byte
const RECURSION_AVAILABLE = 0x80; // fourth byte
const NAME_IN_QUESTION = 0xc00c; // a pointer to the name that was asked for
const PLAIN_LENGTH_MAX = 512;
const EDNS_LENGTH_MAX = 1232; // what passes every link without being cut
export const TCP_LENGTH_MAX = 65_535;

export interface Question {
  readonly id: number;
  readonly name: string; // lower case, without the last dot
  readonly type: number;
  /** Where the question ends: it is copied into the answer. */
  readonly end: number;
  /** What the client can take over UDP; 0: it did not say, which means 512. */
  readonly ednsLength: number;
}

export type AnswerRecord =
  | { readonly type: typeof TYPE.a | typeof TYPE.aaaa; readonly data: Buffer; readonly ttlSeconds: number }
  | { readonly type: typeof TYPE.ptr; readonly target: string; readonly ttlSeconds: number }
  | {
      readonly type: typeof TYPE.srv;
      readonly target: string;
      readonly port: number;
      readonly ttlSeconds: number;
    };

/** An address of a name that the answer speaks of. */
export interface ExtraRecord {
  readonly name: string;
  readonly data: Buffer;
  readonly ttlSeconds: number;
}

/** The question; a code to answer with; or undefined: not a question at all, to be dropped. */
export function readQuestion(message: Buffer): Question | { readonly code: number } | undefined {
  if (message.length < HEADER_LENGTH || ((message[2] ?? 0) & FLAG.response) !== 0) return undefined;
  if ((((message[2] ?? 0) >> 3) & 15) !== 0) return { code: CODE.notImplemented };
  if (message.readUInt16BE(4) !== 1) return { code: CODE.malformed };
  const read = readName(message, HEADER_LENGTH);
  if (!read || read.end + 4 > message.length) return { code: CODE.malformed };
  const type = message.readUInt16BE(read.end);
  const kind = message.readUInt16BE(read.end + 2);
  if (kind !== CLASS_IN) return { code: CODE.refused };
  const end = read.end + 4;
  return { id: message.readUInt16BE(0), name: read.name, type, end, ednsLength: readEdns(message, end) };
}

function readName(message: Buffer, from: number): { name: string; end: number } | undefined {
  let name = '';
  for (let at = from; at < message.length; ) {
    const length = message[at] ?? 0;
    at += 1;
    if (length === 0) return { name: name.toLowerCase(), end: at };
    if (length > 63 || at + length > message.length || name.length + length > 253) return undefined;
    const label = message.toString('latin1', at, at + length);
    name = name === '' ? label : `${name}.${label}`;
    at += length;
  }
  return undefined;
}

/** The only thing that may follow the question of a plain query is an OPT record. */
function readEdns(message: Buffer, at: number): number {
  if (message.readUInt16BE(10) === 0 || at + 11 > message.length) return 0;
  if (message[at] !== 0 || message.readUInt16BE(at + 1) !== TYPE.opt) return 0;
  return Math.max(PLAIN_LENGTH_MAX, message.readUInt16BE(at + 3));
}

export const lengthMaxOf = ({ ednsLength }: Question): number =>
  ednsLength === 0 ? PLAIN_LENGTH_MAX : Math.min(ednsLength, EDNS_LENGTH_MAX);

/** The answer to a question that was read; cut with the truncated bit set where it is longer than `lengthMax`. */
export function writeAnswer(
  message: Buffer,
  question: Question,
  answer: {
    readonly code: number;
    readonly records: readonly AnswerRecord[];
    readonly extra?: readonly ExtraRecord[];
  },
  lengthMax: number,
): Buffer {
  const edns = question.ednsLength === 0 ? 0 : 11;
  const parts: Buffer[] = [Buffer.from(message.subarray(0, question.end))];
  let length = question.end + edns;
  let [count, extraCount] = [0, 0];
  let isCut = false;
  for (const record of answer.records) {
    const bytes = recordBytes(record);
    if (length + bytes.length > lengthMax) {
      isCut = true;
      break;
    }
    parts.push(bytes);
    length += bytes.length;
    count += 1;
  }
  for (const extra of isCut ? [] : (answer.extra ?? [])) {
    const bytes = extraBytes(extra);
    if (length + bytes.length > lengthMax) break; // a client asks for it when it misses it
    parts.push(bytes);
    length += bytes.length;
    extraCount += 1;
  }
  if (edns > 0) parts.push(ednsBytes());
  const bytes = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts, length);
  setHeader(bytes, answer.code, isCut);
  bytes.writeUInt16BE(count, 6);
  bytes.writeUInt16BE(0, 8);
  bytes.writeUInt16BE(extraCount + (edns > 0 ? 1 : 0), 10);
  return bytes;
}

/** For a message whose question is not worth copying. */
export function writeRefusal(message: Buffer, code: number): Buffer {
  const bytes = Buffer.alloc(HEADER_LENGTH);
  message.copy(bytes, 0, 0, 4);
  setHeader(bytes, code, false);
  return bytes;
}

function setHeader(bytes: Buffer, code: number, isCut: boolean): void {
  bytes[2] = FLAG.response | ((bytes[2] ?? 0) & (0x78 | FLAG.recursionDesired)) | (isCut ? FLAG.truncated : 0);
  bytes[3] = RECURSION_AVAILABLE | code;
}

function ednsBytes(): Buffer {
  const bytes = Buffer.alloc(11);
  bytes.writeUInt16BE(TYPE.opt, 1);
  bytes.writeUInt16BE(EDNS_LENGTH_MAX, 3);
  return bytes;
}

function recordBytes(record: AnswerRecord): Buffer {
  const data = recordData(record);
  const bytes = Buffer.allocUnsafe(12 + data.length);
  bytes.writeUInt16BE(NAME_IN_QUESTION, 0);
  bytes.writeUInt16BE(record.type, 2);
  bytes.writeUInt16BE(CLASS_IN, 4);
  bytes.writeUInt32BE(record.ttlSeconds, 6);
  bytes.writeUInt16BE(data.length, 10);
  data.copy(bytes, 12);
  return bytes;
}

function recordData(record: AnswerRecord): Buffer {
  switch (record.type) {
    case TYPE.a:
    case TYPE.aaaa:
      return record.data;
    case TYPE.ptr:
      return nameBytes(record.target);
    case TYPE.srv: {
      const fixed = Buffer.alloc(6); // priority and weight 0
      fixed.writeUInt16BE(record.port, 4);
      return Buffer.concat([fixed, nameBytes(record.target)]);
    }
  }
}

function extraBytes({ name, data, ttlSeconds }: ExtraRecord): Buffer {
  const fixed = Buffer.alloc(10);
  fixed.writeUInt16BE(data.length === 4 ? TYPE.a : TYPE.aaaa, 0);
  fixed.writeUInt16BE(CLASS_IN, 2);
  fixed.writeUInt32BE(ttlSeconds, 4);
  fixed.writeUInt16BE(data.length, 8);
  return Buffer.concat([nameBytes(name), fixed, data]);
}

/** Labels that are too long for the wire are cut: they can not have been asked for either. */
export function nameBytes(name: string): Buffer {
  const labels = name.split('.').filter((label) => label !== '');
  const parts = labels.map((label) => {
    const text = Buffer.from(label, 'latin1').subarray(0, 63);
    return Buffer.concat([Buffer.from([text.length]), text]);
  });
  return Buffer.concat([...parts, Buffer.from([0])]);
}

/** A question as a client asks it. */
export function writeQuestion(id: number, name: string, type: number, ednsLength = 0): Buffer {
  const header = Buffer.from([0, 0, FLAG.recursionDesired, 0, 0, 1, 0, 0, 0, 0, 0, ednsLength === 0 ? 0 : 1]);
  header.writeUInt16BE(id, 0);
  const tail = Buffer.alloc(4);
  tail.writeUInt16BE(type, 0);
  tail.writeUInt16BE(CLASS_IN, 2);
  const edns = ednsLength === 0 ? Buffer.alloc(0) : ednsBytes();
  if (ednsLength !== 0) edns.writeUInt16BE(ednsLength, 3);
  return Buffer.concat([header, nameBytes(name), tail, edns]);
}

export const codeOfAnswer = (message: Buffer): number => (message[3] ?? 0) & 15;
export const isTruncated = (message: Buffer): boolean => ((message[2] ?? 0) & FLAG.truncated) !== 0;
export const isResponse = (message: Buffer): boolean =>
  message.length >= HEADER_LENGTH && ((message[2] ?? 0) & FLAG.response) !== 0;

/** `2.0.17.172.in-addr.arpa` is 172.17.0.2, and likewise for IPv6 (in full, eight groups). */
export function addressOfReverse(name: string): string | undefined {
  const four = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.in-addr\.arpa$/.exec(name);
  if (four) return four.slice(1).reverse().join('.');
  const six = /^((?:[0-9a-f]\.){32})ip6\.arpa$/.exec(name)?.[1];
  if (six === undefined) return undefined;
  const digits = six.split('.').slice(0, 32).reverse().join('');
  return digits.match(/.{4}/g)?.join(':');
}
