// What a rule of nf_tables says: the conditions and actions that we use. Pure.
// Sources: Linux include/uapi/linux/netfilter/nf_tables.h; byte strings checked against what nft 1.0 sends.
import type { Expression, NftBatch, Verdict } from './nft-messages.ts';

const NFPROTO_IPV4 = 2;
const NFPROTO_IPV6 = 10;

/** Registers are 4 bytes each, numbered from 8; register 8 is also called 1. */
const FIRST_REGISTER = 8;
const register = (index: number): number => (index === 0 ? 1 : FIRST_REGISTER + index);

const META = { ethertype: 1, l4proto: 16, nfproto: 15, iif: 4, iifname: 6, oifname: 7, mark: 3, pkttype: 19 } as const;

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
  /** The first two bytes; those that all nodes' addresses on the link between them begin with; those that differ. */
  sourceAddress6Begin: { base: 1, offset: 8, length: 2 },
  destinationAddress6Begin: { base: 1, offset: 24, length: 2 },
  /** The first four bytes, the next four, and all eight. */
  sourceZone6: { base: 1, offset: 8, length: 4 },
  sourceLink6: { base: 1, offset: 12, length: 4 },
  sourceNetwork6: { base: 1, offset: 8, length: 8 },
  destinationZone6: { base: 1, offset: 24, length: 4 },
  destinationNetwork6: { base: 1, offset: 24, length: 8 },
  destinationNodes6: { base: 1, offset: 24, length: 6 },
  destinationNode6: { base: 1, offset: 36, length: 4 },
  destinationPort: { base: 2, offset: 2, length: 2 },
  /** Behind the UDP header, and four bytes of its own. */
  vxlanNetwork: { base: 2, offset: 12, length: 3 },
  icmpType: { base: 2, offset: 0, length: 1 },
  hopLimit: { base: 1, offset: 7, length: 1 },
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

/** The kind of one of the packet's addresses; 2 is one of this host. */
const loadAddressType =
  (by: 1 | 2): Expression =>
  (batch) =>
    batch.expression('fib', () => {
      batch.writer.u32big(3, by);
      batch.writer.u32big(2, 3); // address type
      batch.writer.u32big(1, register(0));
    });
export const loadSourceType = loadAddressType(1);
export const loadDestinationType = loadAddressType(2);

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

/** Alike on every node: without a seed of ours the kernel would choose one. */
const SEED = 0x5a0a_1000;

/** Of the `length` bytes from register 0 on, to register 0. */
export const hashBelow =
  (bound: number, length: number): Expression =>
  (batch) =>
    batch.expression('hash', () => {
      batch.writer.u32big(1, register(0));
      batch.writer.u32big(2, register(0));
      batch.writer.u32big(3, length);
      batch.writer.u32big(4, bound);
      batch.writer.u32big(5, SEED);
      batch.writer.u32big(6, 0);
      batch.writer.u32big(7, 0); // by Jenkins
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

const NAT = { source: 0, destination: 1 } as const;

/** By the address in register 0 and those after it, and where given the port in another one. */
const translate =
  (side: keyof typeof NAT, protocol: number, portAt?: number): Expression =>
  (batch) =>
    batch.expression('nat', () => {
      batch.writer.u32big(1, NAT[side]);
      batch.writer.u32big(2, protocol);
      batch.writer.u32big(3, register(0));
      if (portAt !== undefined) batch.writer.u32big(5, register(portAt));
    });

/** To the address in register 0 and the port in register 1; IPv6: in registers 0 to 3, and 4. */
export const translateDestination = translate('destination', NFPROTO_IPV4, 1);
export const translateDestination6 = translate('destination', NFPROTO_IPV6, 4);

/** The port stays. */
export const translateDestinationAddress = translate('destination', NFPROTO_IPV4);
export const translateDestinationAddress6 = translate('destination', NFPROTO_IPV6);
export const translateSource = translate('source', NFPROTO_IPV4);
export const translateSource6 = translate('source', NFPROTO_IPV6);

type Address6Field = Extract<keyof typeof PAYLOAD, `${string}6` | `${string}6Begin`>;

/** From register 0, with the checksums that cover it. */
export const storeAddress6 =
  (field: Address6Field): Expression =>
  (batch) =>
    batch.expression('payload', () => {
      batch.writer.u32big(5, register(0));
      batch.writer.u32big(2, PAYLOAD[field].base);
      batch.writer.u32big(3, PAYLOAD[field].offset);
      batch.writer.u32big(4, PAYLOAD[field].length);
      batch.writer.u32big(6, 0); // no checksum of its own
      batch.writer.u32big(7, 0);
      batch.writer.u32big(8, 1); // that of the layer above
    });

/** Writes an IPv6 address into the packet as it is, with the checksums that cover it; no connection remembers that. */
export const writeAddress6 = (field: 'sourceAddress6' | 'destinationAddress6', address: Uint8Array): Expression[] => [
  loadConstant(address),
  storeAddress6(field),
];

/** The same of an address's beginning, by turning bits over: done twice, it is as before. */
export const flipAddress6 = (field: 'sourceAddress6Begin' | 'destinationAddress6Begin', bits: Buffer): Expression[] => [
  loadPayload(field),
  mask(Buffer.from([0xff, 0xff]), bits),
  storeAddress6(field),
];

export const masquerade: Expression = (batch) => batch.expression('masq', () => undefined);

export const setHopLimit = (value: number): Expression[] => [
  loadConstant(Buffer.from([value])),
  (batch) =>
    batch.expression('payload', () => {
      batch.writer.u32big(5, register(0));
      batch.writer.u32big(2, PAYLOAD.hopLimit.base);
      batch.writer.u32big(3, PAYLOAD.hopLimit.offset);
      batch.writer.u32big(4, PAYLOAD.hopLimit.length);
      batch.writer.u32big(6, 0);
      batch.writer.u32big(7, 0);
      batch.writer.u32big(8, 0);
    }),
];

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
