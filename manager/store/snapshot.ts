// Snapshots: chunks of objects of one kind, and a last chunk that says it was whole. Objects are immutable, so the lists
// taken at the start stay true while entries go on being applied.
// Invariant: neither making nor reading one holds the event loop for more than a slice.
import type { Clock } from '../../base/clock.ts';
import { fail } from '../../base/errors.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import { assemble, type Interner, ownText, SharedTexts } from './codec.ts';
import type { SnapshotChunk } from './contract.ts';
import { definitionOf, KIND_NAMES, KINDS, kindFrom, type StoredObject } from './kinds.ts';
import { type State, Tables } from './tables.ts';

const FORMAT = 1;
const END = 'end';
const SLICE_MS = 4;
const CHUNK_OBJECTS_MAX = 200;

export function takeSnapshot({ tables, version }: State, clock: Clock): AsyncIterable<SnapshotChunk> {
  const lists = KIND_NAMES.map((kind) => ({ kind, objects: [...tables.of(kind).all()] }));
  return chunksOf(lists, version, new Slices(clock));
}

type Lists = readonly { readonly kind: keyof typeof KINDS; readonly objects: readonly StoredObject[] }[];

async function* chunksOf(lists: Lists, version: number, slices: Slices): AsyncGenerator<SnapshotChunk, void, void> {
  const texts = new SharedTexts();
  let count = 0;
  for (const { kind, objects } of lists) {
    for (let from = 0; from < objects.length; from += CHUNK_OBJECTS_MAX) {
      const part = objects.slice(from, from + CHUNK_OBJECTS_MAX);
      count += part.length;
      yield { kind, bytes: encodeChunk(kind, part, texts) };
      await slices.pause();
    }
  }
  const writer = new ByteWriter(32);
  writer.u8(FORMAT);
  writer.number(version);
  writer.number(count);
  yield { kind: END, bytes: writer.finish() };
}

/**
 * New tables from the chunks, and the index of the last change in them, which may be lower than that of the snapshot:
 * consensus has entries of its own. The present tables are not touched.
 */
export async function readSnapshot(
  index: number,
  chunks: AsyncIterable<SnapshotChunk>,
  options: { clock: Clock; interner: Interner },
): Promise<State> {
  const tables = new Tables();
  const slices = new Slices(options.clock);
  let count = 0;
  let version: number | undefined;
  for await (const chunk of chunks) {
    if (chunk.kind === END) version = readEnd(chunk.bytes, index, count);
    else count += decodeChunk(tables, chunk, options.interner, `the snapshot at ${index}`);
    await slices.pause();
  }
  return version === undefined ? fail('internal', `the snapshot at ${index} has no end`) : { tables, version };
}

function encodeChunk(kind: keyof typeof KINDS, objects: readonly StoredObject[], sharedTexts: SharedTexts): Uint8Array {
  const definition = definitionOf(kind);
  const shared = objects.map((object) => sharedTexts.of(definition, object));
  const texts = [...new Set(shared)];
  const numbers = new Map(texts.map((text, number) => [text, number]));
  const writer = new ByteWriter(64 * 1024);
  writer.u8(definition.version);
  writer.u32(texts.length);
  for (const text of texts) writer.text(text);
  writer.u32(objects.length);
  for (const [position, object] of objects.entries()) {
    writer.number(object.version);
    writer.number(object.createdAtMs);
    writer.number(object.updatedAtMs);
    writer.u32(numbers.get(shared[position] ?? '') ?? 0);
    writer.text(ownText(definition, object));
  }
  return writer.finish();
}

function decodeChunk(tables: Tables, chunk: SnapshotChunk, interner: Interner, where: string): number {
  const reader = new ByteReader(chunk.bytes, where);
  const kind = kindFrom(chunk.kind, reader.u8(), where);
  const definition = definitionOf(kind);
  const texts = Array.from({ length: reader.u32() }, () => reader.text());
  const count = reader.u32();
  for (let number = 0; number < count; number += 1) {
    const meta = { version: reader.number(), createdAtMs: reader.number(), updatedAtMs: reader.number() };
    const text = texts[reader.u32()] ?? fail('internal', `${where} lacks a shared text`);
    const object = assemble(definition, { previous: undefined, shared: { text }, interner }, reader.text(), meta);
    tables.of(kind).put(object);
  }
  return count;
}

function readEnd(bytes: Uint8Array, index: number, count: number): number {
  const where = `the snapshot at ${index}`;
  const reader = new ByteReader(bytes, where);
  const format = reader.u8();
  if (format !== FORMAT) fail('internal', `${where} has format ${format}, this shoald reads ${FORMAT}`);
  const [version, itsCount] = [reader.number(), reader.number()];
  if (version > index) fail('internal', `${where} has changes up to ${version}`);
  if (itsCount !== count) fail('internal', `${where} has ${count} objects instead of ${itsCount}`);
  return version;
}

/** Lets other work run once a slice is used up. Under a clock that stands still it never waits. */
class Slices {
  readonly #clock: Clock;
  #startedMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#startedMs = clock.monotonicMs();
  }

  async pause(): Promise<void> {
    if (this.#clock.monotonicMs() - this.#startedMs < SLICE_MS) return;
    await this.#clock.sleep(0);
    this.#startedMs = this.#clock.monotonicMs();
  }
}
