// The raft entry: a time and a list of transactions, each a list of (kind, format, action, id, base, bytes).
// Every transaction is applied whole or refused whole, and the verdict is the same on every machine, because it depends
// on nothing but the entry and the state before it. `base` is the version of the object that the writer had read.
import { fail } from '../../base/errors.ts';
import { ByteReader, ByteWriter } from './bytes.ts';
import type { Kind } from './contract.ts';
import { KINDS, kindFrom } from './kinds.ts';

const FORMAT = 1;
const PUT = 1;
const REMOVE = 2;

/** `same`: the shared fields are those of the object that is replaced. Otherwise their text, '' where nothing is shared. */
export type Shared = { readonly same: true } | { readonly text: string };

export type Operation =
  | {
      readonly action: 'put';
      readonly kind: Kind;
      readonly id: string;
      readonly base: number; // 0: there must be none
      readonly own: string;
      readonly shared: Shared;
    }
  | { readonly action: 'remove'; readonly kind: Kind; readonly id: string; readonly base: number };

export type Changeset = readonly Operation[];

export interface Entry {
  readonly atMs: number;
  readonly changesets: readonly Changeset[];
}

const NONE = 0;
const SAME = 1;
const FIRST_TEXT = 2;

export function encodeEntry(entry: Entry): Uint8Array {
  const writer = new ByteWriter(4096);
  const texts = sharedTexts(entry.changesets);
  writer.u8(FORMAT);
  writer.number(entry.atMs);
  writer.u32(texts.size);
  for (const text of texts.keys()) writer.text(text);
  writer.u32(entry.changesets.length);
  for (const changeset of entry.changesets) {
    writer.u32(changeset.length);
    for (const operation of changeset) writeOperation(writer, operation, texts);
  }
  return writer.finish();
}

/** An upper bound of what a changeset adds to an entry. */
export function sizeOf(changeset: Changeset): number {
  const texts = sharedTexts([changeset]);
  let size = 4;
  for (const text of texts.keys()) size += 4 + Buffer.byteLength(text);
  for (const operation of changeset) {
    size += 40 + Buffer.byteLength(operation.id);
    if (operation.action === 'put') size += Buffer.byteLength(operation.own);
  }
  return size;
}

export function decodeEntry(index: number, bytes: Uint8Array): Entry {
  const where = `raft entry ${index}`;
  const reader = new ByteReader(bytes, where);
  const format = reader.u8();
  if (format !== FORMAT)
    fail('internal', `${where} has format ${format}, this shoald reads ${FORMAT}: it is too old for it`);
  const atMs = reader.number();
  const texts = Array.from({ length: reader.u32() }, () => reader.text());
  const changesets = Array.from({ length: reader.u32() }, () =>
    Array.from({ length: reader.u32() }, () => readOperation(reader, texts, where)),
  );
  return { atMs, changesets };
}

function sharedTexts(changesets: readonly Changeset[]): Map<string, number> {
  const texts = new Map<string, number>();
  for (const changeset of changesets) {
    for (const operation of changeset) {
      if (operation.action !== 'put' || !('text' in operation.shared)) continue;
      const { text } = operation.shared;
      if (text !== '' && !texts.has(text)) texts.set(text, FIRST_TEXT + texts.size);
    }
  }
  return texts;
}

function writeOperation(writer: ByteWriter, operation: Operation, texts: ReadonlyMap<string, number>): void {
  writer.text(operation.kind);
  writer.u8(KINDS[operation.kind].version);
  writer.u8(operation.action === 'put' ? PUT : REMOVE);
  writer.text(operation.id);
  writer.number(operation.base);
  if (operation.action === 'remove') return;
  writer.u32('text' in operation.shared ? (texts.get(operation.shared.text) ?? NONE) : SAME);
  writer.text(operation.own);
}

function readOperation(reader: ByteReader, texts: readonly string[], where: string): Operation {
  const name = reader.text();
  const kind = kindFrom(name, reader.u8(), where);
  const action = reader.u8();
  const id = reader.text();
  const base = reader.number();
  if (action === REMOVE) return { action: 'remove', kind, id, base };
  if (action !== PUT) fail('internal', `${where} holds an unknown action ${action}: this shoald is too old for it`);
  const reference = reader.u32();
  return { action: 'put', kind, id, base, shared: sharedFrom(reference, texts, where), own: reader.text() };
}

function sharedFrom(reference: number, texts: readonly string[], where: string): Shared {
  if (reference === NONE) return { text: '' };
  if (reference === SAME) return { same: true };
  const text = texts[reference - FIRST_TEXT];
  return text === undefined
    ? fail('internal', `${where} refers to shared text ${reference}, which it lacks`)
    : { text };
}
