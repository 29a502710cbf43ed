// nf_tables over netlink: tables, chains, sets, rules and the expressions we use.
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

const NFPROTO_IPV4 = 2;
const NFPROTO_IPV6 = 10;
const ELEMENTS_PER_MESSAGE = 1000; // an attribute holds at most 64 KiB

/** Of tables: rules for IPv4 and IPv6, or for the frames of one link. */
export const FAMILY = { inet: 1, netdev: 5 } as const;

export const HOOK = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;
const DEVICE_HOOK = { ingress: 0, egress: 1 } as const;

/** Registers are 4 bytes each, numbered from 8; register 8 is also called 1. */
const FIRST_REGISTER = 8;
const register = (index: number): number => (index === 0 ? 1 : FIRST_REGISTER + index);

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
const DATATYPE = { integer: 4, address: 7, address6: 8, protocol: 12, port: 13 } as const;
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

const META = { l4proto: 16, nfproto: 15, iifname: 6, oifname: 7, mark: 3, pkttype: 19 } as const;

export const loadMeta =
  (key: keyof typeof META, to = 0): Expression =>
  (batch) =>
    batch.expression('meta', () => {
      batch.writer.u32big(2, META[key]);
      batch.writer.u32big(1, register(to));
    });

/** From register 0. */
export const setMeta =
  (key: 'mark' | 'pkttype'): Expression =>
  (batch) =>
    batch.expression('meta', () => {
      batch.writer.u32big(2, META[key]);
      batch.writer.u32big(3, register(0));
    });

const PAYLOAD = {
  sourceAddress: { base: 1, offset: 12, length: 4 },
  destinationAddress: { base: 1, offset: 16, length: 4 },
  sourceAddress6: { base: 1, offset: 8, length: 16 },
  destinationAddress6: { base: 1, offset: 24, length: 16 },
  destinationPort: { base: 2, offset: 2, length: 2 },
  timeToLive: { base: 1, offset: 8, length: 1 },
  tcpFlags: { base: 2, offset: 13, length: 1 },
  /** The last four and the last two bytes of MAC addresses, and the first two. */
  sourceMac: { base: 0, offset: 8, length: 4 },
  sourceMacEnd: { base: 0, offset: 10, length: 2 },
  destinationMac: { base: 0, offset: 2, length: 4 },
  destinationMacBegin: { base: 0, offset: 0, length: 2 },
} as const;

export const loadPayload =
  (field: keyof typeof PAYLOAD, to = 0): Expression =>
  (batch) =>
    batch.expression('payload', () => {
      batch.writer.u32big(1, register(to));
      batch.writer.u32big(2, PAYLOAD[field].base);
      batch.writer.u32big(3, PAYLOAD[field].offset);
      batch.writer.u32big(4, PAYLOAD[field].length);
    });

const OPERATOR = { equal: 0, 'not-equal': 1, 'at-most': 3, above: 4 } as const;

export const compare =
  (operator: keyof typeof OPERATOR, value: Uint8Array): Expression =>
  (batch) =>
    batch.expression('cmp', () => {
      batch.writer.u32big(1, register(0));
      batch.writer.u32big(2, OPERATOR[operator]);
      batch.writer.nested(3, () => batch.writer.bytes(1, value));
    });

/** Keeps the bits of `value`, then flips those of `flip`. */
export const mask =
  (value: Uint8Array, flip: Uint8Array = Buffer.alloc(value.length)): Expression =>
  (batch) =>
    batch.expression('bitwise', () => {
      batch.writer.u32big(1, register(0));
      batch.writer.u32big(2, register(0));
      batch.writer.u32big(3, value.length);
      batch.writer.nested(4, () => batch.writer.bytes(1, value));
      batch.writer.nested(5, () => batch.writer.bytes(1, flip));
    });

/** From register 0, into the frame as it is: nothing in a frame covers its MAC addresses. */
export const writeMac =
  (field: 'destinationMac' | 'destinationMacBegin'): Expression =>
  (batch) =>
    batch.expression('payload', () => {
      batch.writer.u32big(5, register(0));
      batch.writer.u32big(2, PAYLOAD[field].base);
      batch.writer.u32big(3, PAYLOAD[field].offset);
      batch.writer.u32big(4, PAYLOAD[field].length);
      batch.writer.u32big(6, 0);
      batch.writer.u32big(7, 0);
      batch.writer.u32big(8, 0);
    });

/** The largest segment that a TCP connection's beginning names, never to a larger one than it says. */
export const setLargestSegment = (bytes: number): Expression[] => [
  loadConstant(Buffer.from([bytes >> 8, bytes & 255])),
  (batch) =>
    batch.expression('exthdr', () => {
      batch.writer.u8(2, 2); // the option
      batch.writer.u32big(3, 2);
      batch.writer.u32big(4, 2);
      batch.writer.u32big(6, 1); // of TCP
      batch.writer.u32big(7, register(0));
    }),
];

const CONNTRACK = { state: 0, direction: 1, status: 2, mark: 3, zone: 17 } as const;
const ASKING = 0;

export const loadConntrack =
  (key: keyof typeof CONNTRACK): Expression =>
  (batch) =>
    batch.expression('ct', () => {
      batch.writer.u32big(2, CONNTRACK[key]);
      batch.writer.u32big(1, register(0));
      if (key === 'zone') batch.writer.u8(3, ASKING);
    });

/** From register 0. A zone counts for packets of the side that asks, so that answers are found as ever. */
export const setConntrack =
  (key: 'mark' | 'zone'): Expression =>
  (batch) =>
    batch.expression('ct', () => {
      batch.writer.u32big(2, CONNTRACK[key]);
      batch.writer.u32big(4, register(0));
      if (key === 'zone') batch.writer.u8(3, ASKING);
    });

/** The kind of the packet's destination address; 2 is one of this host. */
export const loadDestinationType: Expression = (batch) =>
  batch.expression('fib', () => {
    batch.writer.u32big(3, 2); // by destination address
    batch.writer.u32big(2, 3); // address type
    batch.writer.u32big(1, register(0));
  });

/** Without `into`: is the key there. `into` 'verdict': do what the map says. Otherwise: the value to register 0. */
export const lookup =
  (set: string | { readonly id: number }, into?: 'value' | 'verdict'): Expression =>
  (batch) =>
    batch.expression('lookup', () => {
      batch.writer.u32big(2, register(0));
      if (into) batch.writer.u32big(3, into === 'verdict' ? 0 : register(0));
      batch.writer.text(1, typeof set === 'string' ? set : '__map%d');
      if (typeof set !== 'string') batch.writer.u32big(4, set.id);
    });

export const randomBelow =
  (bound: number): Expression =>
  (batch) =>
    batch.expression('numgen', () => {
      batch.writer.u32big(1, register(0));
      batch.writer.u32big(2, bound);
      batch.writer.u32big(3, 1); // random
      batch.writer.u32big(4, 0);
    });

export const loadConstant =
  (value: Uint8Array, to = 0): Expression =>
  (batch) =>
    batch.expression('immediate', () => {
      batch.writer.u32big(1, register(to));
      batch.writer.nested(2, () => batch.writer.bytes(1, value));
    });

export const verdict =
  (what: Verdict): Expression =>
  (batch) =>
    batch.expression('immediate', () => {
      batch.writer.u32big(1, 0);
      batch.writer.nested(2, () => batch.verdict(what));
    });

/** To the address in register 0 and the port in register 1. */
export const translateDestination: Expression = (batch) =>
  batch.expression('nat', () => {
    batch.writer.u32big(1, 1); // destination
    batch.writer.u32big(2, NFPROTO_IPV4);
    batch.writer.u32big(3, register(0));
    batch.writer.u32big(5, register(1));
  });

/** To the IPv6 address in registers 0 to 3 and the port in register 4. */
export const translateDestination6: Expression = (batch) =>
  batch.expression('nat', () => {
    batch.writer.u32big(1, 1); // destination
    batch.writer.u32big(2, NFPROTO_IPV6);
    batch.writer.u32big(3, register(0));
    batch.writer.u32big(5, register(4));
  });

/** Writes an IPv6 address into the packet as it is, with the checksums that cover it; no connection remembers that. */
export const writeAddress6 = (field: 'sourceAddress6' | 'destinationAddress6', address: Uint8Array): Expression[] => [
  loadConstant(address),
  (batch) =>
    batch.expression('payload', () => {
      batch.writer.u32big(5, register(0));
      batch.writer.u32big(2, PAYLOAD[field].base);
      batch.writer.u32big(3, PAYLOAD[field].offset);
      batch.writer.u32big(4, PAYLOAD[field].length);
      batch.writer.u32big(6, 0); // no checksum of its own
      batch.writer.u32big(7, 0);
      batch.writer.u32big(8, 1); // that of the layer above
    }),
];

/** To the address in register 0; the port stays. */
export const translateDestinationAddress: Expression = (batch) =>
  batch.expression('nat', () => {
    batch.writer.u32big(1, 1); // destination
    batch.writer.u32big(2, NFPROTO_IPV4);
    batch.writer.u32big(3, register(0));
  });

/** To the IPv6 address in registers 0 to 3; the port stays. */
export const translateDestinationAddress6: Expression = (batch) =>
  batch.expression('nat', () => {
    batch.writer.u32big(1, 1); // destination
    batch.writer.u32big(2, NFPROTO_IPV6);
    batch.writer.u32big(3, register(0));
  });

/** From the IPv6 address in registers 0 to 3. */
export const translateSource6: Expression = (batch) =>
  batch.expression('nat', () => {
    batch.writer.u32big(1, 0); // source
    batch.writer.u32big(2, NFPROTO_IPV6);
    batch.writer.u32big(3, register(0));
  });

/** From the address in register 0. */
export const translateSource: Expression = (batch) =>
  batch.expression('nat', () => {
    batch.writer.u32big(1, 0); // source
    batch.writer.u32big(2, NFPROTO_IPV4);
    batch.writer.u32big(3, register(0));
  });

export const masquerade: Expression = (batch) => batch.expression('masq', () => undefined);

/** Sets the IPv4 time to live, by its 16-bit word, as the checksum is made of those. */
export const setTimeToLive = (value: number): Expression[] => {
  const word = (batch: NftBatch): void => {
    batch.writer.u32big(2, 1); // network header
    batch.writer.u32big(3, PAYLOAD.timeToLive.offset);
    batch.writer.u32big(4, 2);
  };
  return [
    (batch) =>
      batch.expression('payload', () => {
        batch.writer.u32big(1, register(0));
        word(batch);
      }),
    mask(Buffer.from([0, 0xff]), Buffer.from([value, 0])),
    (batch) =>
      batch.expression('payload', () => {
        batch.writer.u32big(5, register(0));
        word(batch);
        batch.writer.u32big(6, 1); // the internet checksum
        batch.writer.u32big(7, 10); // is there
        batch.writer.u32big(8, 0);
      }),
  ];
};
