// nf_tables over netlink: transactions of tables, chains, sets and rules. What a rule says is in nft-expressions.ts.
// Sources: Linux include/uapi/linux/netfilter/nf_tables.h; byte strings checked against what nft 1.0 sends.
import { createHash } from 'node:crypto';
import { MessageWriter, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE } from './netlink.ts';

const SUBSYSTEM = 10 << 8;
const BATCH_BEGIN = 16;
const BATCH_END = 17;
const NEWTABLE = SUBSYSTEM | 0;
const DELTABLE = SUBSYSTEM | 2;
const NEWCHAIN = SUBSYSTEM | 3;
const DELCHAIN = SUBSYSTEM | 5;
const NEWRULE = SUBSYSTEM | 6;
const DELRULE = SUBSYSTEM | 8;
const NEWSET = SUBSYSTEM | 9;
const NEWSETELEM = SUBSYSTEM | 12;
const DELSETELEM = SUBSYSTEM | 14;

const ELEMENTS_PER_MESSAGE = 1000; // an attribute holds at most 64 KiB

/** Of tables: rules for IPv4 and IPv6, or for the frames of one link. */
export const FAMILY = { inet: 1, netdev: 5 } as const;

export const HOOK = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;
const DEVICE_HOOK = { ingress: 0, egress: 1 } as const;

export type Verdict =
  | { readonly kind: 'accept' | 'drop' | 'return' }
  | { readonly kind: 'jump'; readonly chain: string };

const VERDICT = { drop: 0, accept: 1, jump: -3, return: -5 } as const satisfies Record<Verdict['kind'], number>;

export interface Element {
  readonly key: Buffer;
  readonly data?: Buffer | Verdict;
}

/** The types are only for people who list the table with nft. */
export interface SetShape {
  readonly keyType: number;
  readonly keyLength: number;
  readonly data?: { readonly type: number; readonly length: number } | 'verdict';
}

const TYPE_BITS = 6;
const DATATYPE = { integer: 4, address: 7, address6: 8, protocol: 12, port: 13, link: 41 } as const;
export const typeOf = (...fields: (keyof typeof DATATYPE)[]): number =>
  fields.reduce((type, field) => (type << TYPE_BITS) | DATATYPE[field], 0);

/** One condition or action of a rule. */
export type Expression = (batch: NftBatch) => void;

/** A transaction: all of it or nothing, in one step for every packet. */
export class NftBatch {
  readonly writer = new MessageWriter();
  /** The rules of each chain after this batch, where it began with none. */
  readonly rows = new Map<string, string[]>();
  readonly #table: string;
  readonly #header: Buffer;
  #sets = 0;

  constructor(table: string, family: keyof typeof FAMILY = 'inet') {
    this.#table = table;
    this.#header = Buffer.from([FAMILY[family], 0, 0, 0]);
    this.writer.message(BATCH_BEGIN, 0, Buffer.from([0, 0, 0, 10]));
  }

  /** True while nothing was added. */
  get isEmpty(): boolean {
    return this.writer.count === 1;
  }

  finish(): Buffer {
    // Only the last change asks to be acknowledged; it is answered after all errors.
    this.writer.message(NEWTABLE, NLM_F_ACK, this.#header, () => this.writer.text(1, this.#table));
    this.writer.message(BATCH_END, 0, Buffer.from([0, 0, 0, 10]));
    return this.writer.finish();
  }

  /** Ends a batch whose table is gone afterwards. */
  finishDeleting(): Buffer {
    this.writer.message(DELTABLE, NLM_F_ACK, this.#header, () => this.writer.text(1, this.#table));
    this.writer.message(BATCH_END, 0, Buffer.from([0, 0, 0, 10]));
    return this.writer.finish();
  }

  /** Makes the table if it is not there. */
  addTable(): void {
    this.writer.message(NEWTABLE, NLM_F_CREATE, this.#header, () => {
      this.writer.text(1, this.#table);
      this.writer.u32big(2, 0);
    });
  }

  deleteTable(): void {
    this.writer.message(DELTABLE, 0, this.#header, () => this.writer.text(1, this.#table));
  }

  addChain(name: string): void {
    this.writer.message(NEWCHAIN, NLM_F_CREATE, this.#header, () => {
      this.writer.text(1, this.#table);
      this.writer.text(3, name);
    });
  }

  addBaseChain(
    name: string,
    base: { type: 'nat' | 'filter' | 'route'; hook: keyof typeof HOOK; priority: number },
  ): void {
    this.writer.message(NEWCHAIN, NLM_F_CREATE, this.#header, () => {
      this.writer.text(1, this.#table);
      this.writer.text(3, name);
      this.writer.text(7, base.type);
      this.writer.nested(4, () => {
        this.writer.u32big(1, HOOK[base.hook]);
        this.writer.u32big(2, base.priority);
      });
      this.writer.u32big(5, 1); // policy accept
    });
  }

  /** Of a netdev table: sees the frames of one link, and goes with it. */
  addLinkChain(name: string, hook: keyof typeof DEVICE_HOOK, link: string): void {
    this.writer.message(NEWCHAIN, NLM_F_CREATE, this.#header, () => {
      this.writer.text(1, this.#table);
      this.writer.text(3, name);
      this.writer.text(7, 'filter');
      this.writer.nested(4, () => {
        this.writer.u32big(1, DEVICE_HOOK[hook]);
        this.writer.u32big(2, 0);
        this.writer.text(3, link);
      });
      this.writer.u32big(5, 1); // policy accept
    });
  }

  deleteChain(name: string): void {
    this.writer.message(DELCHAIN, 0, this.#header, () => {
      this.writer.text(1, this.#table);
      this.writer.text(3, name);
    });
  }

  flushChain(name: string): void {
    this.rows.delete(name);
    this.writer.message(DELRULE, 0, this.#header, () => {
      this.writer.text(1, this.#table);
      this.writer.text(2, name);
    });
  }

  addSet(name: string, shape: SetShape): void {
    this.#set(name, shape, 0);
  }

  /**
   * Every rule carries a mark made of what it says, which the kernel gives back as it is: so an audit knows each rule,
   * in its place. `identity` stands for what the expressions themselves do not say: the elements of a map.
   */
  addRule(chain: string, expressions: readonly Expression[], identity = ''): void {
    this.writer.message(NEWRULE, NLM_F_CREATE | NLM_F_APPEND, this.#header, () => {
      this.writer.text(1, this.#table);
      this.writer.text(2, chain);
      const from = this.writer.length;
      this.writer.nested(4, () => {
        for (const add of expressions) add(this);
      });
      const mark = markOf(identity === '' ? this.writer.since(from) : Buffer.from(identity));
      const rows = this.rows.get(chain) ?? [];
      rows.push(mark);
      this.rows.set(chain, rows);
      this.writer.bytes(7, commentOf(mark)); // NFTA_RULE_USERDATA
    });
  }

  addElements(set: string, elements: readonly Element[]): void {
    this.#elements(NEWSETELEM, set, elements);
  }

  deleteElements(set: string, elements: readonly Element[]): void {
    this.#elements(DELSETELEM, set, elements);
  }

  /** A set that lives and dies with the one rule that names its id. */
  addAnonymousMap(shape: SetShape, elements: readonly Element[]): number {
    const id = this.#set('__map%d', shape, 0x1 | 0x2, elements.length);
    this.#elements(NEWSETELEM, '__map%d', elements, id);
    return id;
  }

  expression(name: string, body: () => void): void {
    this.writer.nested(1, () => {
      this.writer.text(1, name);
      this.writer.nested(2, body);
    });
  }

  verdict(verdict: Verdict): void {
    this.writer.nested(2, () => {
      this.writer.u32big(1, VERDICT[verdict.kind]);
      if (verdict.kind === 'jump') this.writer.text(2, verdict.chain);
    });
  }

  #set(name: string, shape: SetShape, flags: number, size?: number): number {
    const id = ++this.#sets;
    const data = shape.data === 'verdict' ? { type: 0xffff_ff00, length: 0 } : shape.data;
    this.writer.message(NEWSET, NLM_F_CREATE, this.#header, () => {
      this.writer.text(1, this.#table);
      this.writer.text(2, name);
      this.writer.u32big(3, flags | (data ? 0x8 : 0));
      this.writer.u32big(4, shape.keyType);
      this.writer.u32big(5, shape.keyLength);
      if (data) {
        this.writer.u32big(6, data.type);
        this.writer.u32big(7, data.length);
      }
      if (size !== undefined) this.writer.nested(9, () => this.writer.u32big(1, size));
      this.writer.u32big(10, id);
    });
    return id;
  }

  #elements(type: number, set: string, elements: readonly Element[], id?: number): void {
    for (let at = 0; at < elements.length; at += ELEMENTS_PER_MESSAGE) {
      this.writer.message(type, type === NEWSETELEM ? NLM_F_CREATE : 0, this.#header, () => {
        this.writer.text(1, this.#table);
        this.writer.text(2, set);
        if (id !== undefined) this.writer.u32big(4, id);
        this.writer.nested(3, () => {
          for (const element of elements.slice(at, at + ELEMENTS_PER_MESSAGE)) this.#element(element);
        });
      });
    }
  }

  #element({ key, data }: Element): void {
    this.writer.nested(1, () => {
      this.writer.nested(1, () => this.writer.bytes(1, key));
      if (data === undefined) return;
      this.writer.nested(2, () => (Buffer.isBuffer(data) ? this.writer.bytes(1, data) : this.verdict(data)));
    });
  }
}

const markOf = (bytes: Uint8Array): string => createHash('sha1').update(bytes).digest('hex').slice(0, 12);

/** As nft writes comments, so that it shows the mark: type 0, length, text with NUL. */
function commentOf(text: string): Buffer {
  return Buffer.concat([Buffer.from([0, text.length + 1]), Buffer.from(`${text}\0`)]);
}

/** The comment of a rule's user data; '' for a rule of somebody else. */
export function readComment(data: Buffer | undefined): string {
  if (!data || data[0] !== 0 || data.length < 2) return '';
  return data.toString('latin1', 2, 1 + (data[1] ?? 1));
}
