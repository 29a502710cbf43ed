// Reading nf_tables: which tables there are, and what ours holds. Source: as nft-messages.ts.
import { FAMILY, readComment } from './nft-messages.ts';
import {
  eachAttribute,
  MessageWriter,
  NLM_F_ACK,
  NLM_F_DUMP,
  readAttributes,
  readMessages,
  readText,
} from './netlink.ts';

const SUBSYSTEM = 10 << 8;
const GETTABLE = SUBSYSTEM | 1;
const GETRULE = SUBSYSTEM | 7;
const GETSETELEM = SUBSYSTEM | 13;
const NEWTABLE = SUBSYSTEM | 0;
const NEWRULE = SUBSYSTEM | 6;
const NEWSETELEM = SUBSYSTEM | 12;

function dump(type: number, body: (writer: MessageWriter) => void, family: keyof typeof FAMILY = 'inet'): Buffer {
  const writer = new MessageWriter();
  writer.message(type, NLM_F_DUMP | NLM_F_ACK, Buffer.from([FAMILY[family], 0, 0, 0]), () => body(writer));
  return writer.finish();
}

export const listTables = {
  request: (): Buffer => dump(GETTABLE, () => undefined),
  read: (bytes: Buffer): string[] =>
    [...readMessages(bytes)]
      .filter((message) => message.type === NEWTABLE)
      .map((message) => readText(readAttributes(message.body.subarray(4)).get(1))),
};

export interface RuleRow {
  readonly chain: string;
  readonly mark: string; // '' for one that is not ours
}

/** Every rule of a table, in order. */
export const listRules = {
  request: (table: string, family?: keyof typeof FAMILY): Buffer =>
    dump(GETRULE, (writer) => writer.text(1, table), family),
  read: (bytes: Buffer, table: string): RuleRow[] =>
    [...readMessages(bytes)]
      .filter((message) => message.type === NEWRULE)
      .map((message) => readAttributes(message.body.subarray(4)))
      .filter((attributes) => readText(attributes.get(1)) === table)
      .map((attributes) => ({ chain: readText(attributes.get(2)), mark: readComment(attributes.get(7)) })),
};

/** The elements of a set, as `key` or `key:data` in hexadecimal; a verdict's data is its chain. */
export const listElements = {
  request: (table: string, set: string): Buffer =>
    dump(GETSETELEM, (writer) => {
      writer.text(1, table);
      writer.text(2, set);
    }),
  read(bytes: Buffer): string[] {
    const found: string[] = [];
    for (const { type, body } of readMessages(bytes)) {
      const list = type === NEWSETELEM ? readAttributes(body.subarray(4)).get(3) : undefined;
      for (const [, element] of list ? eachAttribute(list) : []) found.push(readElement(element));
    }
    return found;
  },
};

function readElement(bytes: Buffer): string {
  const attributes = readAttributes(bytes);
  const key = valueOf(attributes.get(1));
  const data = attributes.get(2);
  return data ? `${key}:${valueOf(data)}` : key;
}

function valueOf(data: Buffer | undefined): string {
  if (!data) return '';
  const attributes = readAttributes(data);
  const chain = attributes.get(2);
  return chain ? readText(readAttributes(chain).get(2)) : (attributes.get(1)?.toString('hex') ?? '');
}
