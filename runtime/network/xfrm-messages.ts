// The kernel's IPsec: one direction of ESP between two addresses, which packets it is for, and the link that they come and
// go by. Source: Linux include/uapi/linux/{xfrm,if_link}.h; `ip xfrm` and `ip link` send the same bytes.
import { addressBytes } from './addresses.ts';
import {
  MessageWriter,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  readAttributes,
  readMessages,
} from './netlink.ts';
import { AF_INET, IFLA_IFNAME, IFLA_INFO_DATA, IFLA_INFO_KIND, IFLA_LINKINFO, RTM_NEWLINK } from './rtnetlink.ts';

const XFRM_MSG = {
  newState: 16,
  deleteState: 17,
  getState: 18,
  newPolicy: 19,
  deletePolicy: 20,
  getPolicy: 21,
  putPolicy: 25,
} as const;
const XFRMA = { template: 5, sourceAddress: 13, aead: 18, replay: 23, interfaceId: 31 } as const;
const LINK_INTERFACE_ID = 2;
const PROTOCOL_ESP = 50;
const MODE_TUNNEL = 1;
const STATE_LONG_COUNTER = 0x80; // 64 bits, of which the wire has the lower 32
const TAG_BITS = 128;
const ALGORITHM = 'rfc4106(gcm(aes))';
const NAME_BYTES = 64;
const DIRECTION = { in: 0, out: 1 } as const;

/** How far back a packet may come late. */
export const ESP_WINDOW = 1024;

// Of struct xfrm_usersa_info.
const STATE_BYTES = 224;
const STATE = {
  destination: 56,
  spi: 72,
  protocol: 76,
  source: 80,
  limits: 96,
  packets: 168,
  replayed: 196,
  altered: 200,
  request: 208,
  family: 212,
  mode: 214,
  flags: 216,
};
// Of struct xfrm_selector, with which a policy begins.
const SELECTOR = { to: 0, from: 16, family: 40, toBits: 42, fromBits: 43 };
// Of struct xfrm_userpolicy_info, and of struct xfrm_userpolicy_id.
const POLICY_BYTES = 168;
const POLICY = { limits: 56, direction: 160 };
const POLICY_ID_BYTES = 64;
const POLICY_ID_DIRECTION = 60;
// Of struct xfrm_user_tmpl.
const TEMPLATE_BYTES = 64;
const TEMPLATE = {
  destination: 0,
  spi: 16,
  protocol: 20,
  family: 24,
  source: 28,
  request: 44,
  mode: 48,
  algorithms: 52,
};
const ID_BYTES = 24; // of struct xfrm_usersa_id
const LIMITS_BYTES = 32; // four numbers, each as high as it can be: none
const HARD_BYTES = 8; // the second of them

/** One direction of ESP. */
export interface EspState {
  readonly source: number;
  readonly destination: number;
  readonly spi: number;
  /** Of the link; also the number by which policies name what belongs together. */
  readonly interfaceId: number;
  /** Then it carries no more. */
  readonly bytesMax: bigint;
  /** Of AES, and four bytes of salt. */
  readonly key: Uint8Array;
}

/** Packets from one inner address to another come by, or go by, a state between two outer ones. */
export interface EspPolicy {
  readonly direction: keyof typeof DIRECTION;
  readonly interfaceId: number;
  readonly from: number;
  readonly to: number;
  readonly source: number;
  readonly destination: number;
  readonly spi: number; // 0: any of the interface between these two
}

export function addEspState(writer: MessageWriter, state: EspState): void {
  const body = Buffer.alloc(STATE_BYTES);
  addressBytes(state.destination).copy(body, STATE.destination);
  body.writeUInt32BE(state.spi, STATE.spi);
  body.writeUInt8(PROTOCOL_ESP, STATE.protocol);
  addressBytes(state.source).copy(body, STATE.source);
  body.fill(0xff, STATE.limits, STATE.limits + LIMITS_BYTES);
  body.writeBigUInt64LE(state.bytesMax, STATE.limits + HARD_BYTES);
  body.writeUInt32LE(state.interfaceId, STATE.request);
  body.writeUInt16LE(AF_INET, STATE.family);
  body.writeUInt8(MODE_TUNNEL, STATE.mode);
  body.writeUInt8(STATE_LONG_COUNTER, STATE.flags);
  writer.message(XFRM_MSG.newState, NLM_F_ACK, body, () => {
    writer.bytes(XFRMA.aead, algorithmOf(state.key));
    writer.bytes(XFRMA.replay, newWindow());
    writer.u32(XFRMA.interfaceId, state.interfaceId);
  });
}

export function deleteEspState(writer: MessageWriter, { source, destination, spi }: EspState): void {
  const body = Buffer.alloc(ID_BYTES);
  addressBytes(destination).copy(body);
  body.writeUInt32BE(spi, 16);
  body.writeUInt16LE(AF_INET, 20);
  body.writeUInt8(PROTOCOL_ESP, 22);
  writer.message(XFRM_MSG.deleteState, NLM_F_ACK, body, () => writer.bytes(XFRMA.sourceAddress, wide(source)));
}

/** In the place of the one for the same packets, if there is one. */
export function putEspPolicy(writer: MessageWriter, policy: EspPolicy): void {
  const body = Buffer.alloc(POLICY_BYTES);
  selectorOf(policy).copy(body);
  body.fill(0xff, POLICY.limits, POLICY.limits + LIMITS_BYTES);
  body.writeUInt8(DIRECTION[policy.direction], POLICY.direction);
  writer.message(XFRM_MSG.putPolicy, NLM_F_ACK, body, () => {
    writer.bytes(XFRMA.template, templateOf(policy));
    writer.u32(XFRMA.interfaceId, policy.interfaceId);
  });
}

export function deleteEspPolicy(writer: MessageWriter, policy: EspPolicy): void {
  const body = Buffer.alloc(POLICY_ID_BYTES);
  selectorOf(policy).copy(body);
  body.writeUInt8(DIRECTION[policy.direction], POLICY_ID_DIRECTION);
  writer.message(XFRM_MSG.deletePolicy, NLM_F_ACK, body, () => writer.u32(XFRMA.interfaceId, policy.interfaceId));
}

/**
 * What goes into it is encrypted by the policies of its number, or dropped; what these decrypt comes out of it. They are
 * those of the namespace that it is made in, wherever it is moved to.
 */
export function addEspLink(
  writer: MessageWriter,
  link: { readonly name: string; readonly index?: number; readonly interfaceId: number },
): void {
  const header = Buffer.alloc(16);
  header.writeInt32LE(link.index ?? 0, 4);
  writer.message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, header, () => {
    writer.text(IFLA_IFNAME, link.name);
    writer.nested(IFLA_LINKINFO, () => {
      writer.text(IFLA_INFO_KIND, 'xfrm');
      writer.nested(IFLA_INFO_DATA, () => writer.u32(LINK_INTERFACE_ID, link.interfaceId));
    });
  });
}

/** A state as the kernel has it. Where the kernel is locked down it shows no key: `key` is then all zeros. */
export interface FoundState extends EspState {
  readonly packets: number;
  readonly replayed: number;
  readonly altered: number;
}

export const dumpEspStates = (): Buffer => dump(XFRM_MSG.getState);
export const dumpEspPolicies = (): Buffer => dump(XFRM_MSG.getPolicy);

/** Without a body: what would be behind the header is read as attributes. */
function dump(type: number): Buffer {
  const writer = new MessageWriter();
  writer.message(type, NLM_F_DUMP, Buffer.alloc(0));
  return writer.finish();
}

/** Those of IPv4 that belong to a link; of whichever link. */
export function readEspStates(bytes: Buffer): FoundState[] {
  const found: FoundState[] = [];
  for (const { type, body } of readMessages(bytes)) {
    if (type !== XFRM_MSG.newState || body.length < STATE_BYTES) continue;
    if (body.readUInt16LE(STATE.family) !== AF_INET || body.readUInt8(STATE.protocol) !== PROTOCOL_ESP) continue;
    const attributes = readAttributes(body.subarray(STATE_BYTES));
    const interfaceId = attributes.get(XFRMA.interfaceId)?.readUInt32LE(0);
    if (interfaceId === undefined) continue;
    found.push({
      source: body.readUInt32BE(STATE.source),
      destination: body.readUInt32BE(STATE.destination),
      spi: body.readUInt32BE(STATE.spi),
      interfaceId,
      bytesMax: body.readBigUInt64LE(STATE.limits + HARD_BYTES),
      key: Uint8Array.from(attributes.get(XFRMA.aead)?.subarray(NAME_BYTES + 8) ?? []),
      packets: Number(body.readBigUInt64LE(STATE.packets)),
      replayed: body.readUInt32LE(STATE.replayed),
      altered: body.readUInt32LE(STATE.altered),
    });
  }
  return found;
}

/** Those of IPv4 that belong to a link and seal; of whichever link. */
export function readEspPolicies(bytes: Buffer): EspPolicy[] {
  const found: EspPolicy[] = [];
  for (const { type, body } of readMessages(bytes)) {
    if (type !== XFRM_MSG.newPolicy || body.length < POLICY_BYTES) continue;
    const attributes = readAttributes(body.subarray(POLICY_BYTES));
    const [interfaceId, template] = [attributes.get(XFRMA.interfaceId), attributes.get(XFRMA.template)];
    const number = body.readUInt8(POLICY.direction);
    if (!interfaceId || !template || template.length < TEMPLATE_BYTES || number > DIRECTION.out) continue;
    if (body.readUInt16LE(SELECTOR.family) !== AF_INET) continue;
    found.push({
      direction: number === DIRECTION.in ? 'in' : 'out',
      interfaceId: interfaceId.readUInt32LE(0),
      from: body.readUInt32BE(SELECTOR.from),
      to: body.readUInt32BE(SELECTOR.to),
      source: template.readUInt32BE(TEMPLATE.source),
      destination: template.readUInt32BE(TEMPLATE.destination),
      spi: template.readUInt32BE(TEMPLATE.spi),
    });
  }
  return found;
}

function algorithmOf(key: Uint8Array): Buffer {
  const head = Buffer.alloc(NAME_BYTES + 8);
  head.write(ALGORITHM);
  head.writeUInt32LE(key.length * 8, NAME_BYTES);
  head.writeUInt32LE(TAG_BITS, NAME_BYTES + 4);
  return Buffer.concat([head, key]);
}

/** Of struct xfrm_replay_state_esn: how many words of bits, and how many bits; nothing was sent or received. */
function newWindow(): Buffer {
  const bytes = Buffer.alloc(24);
  bytes.writeUInt32LE(ESP_WINDOW / 32, 0);
  bytes.writeUInt32LE(ESP_WINDOW, 20);
  return bytes;
}

function selectorOf({ from, to }: EspPolicy): Buffer {
  const bytes = Buffer.alloc(56);
  addressBytes(to).copy(bytes, SELECTOR.to);
  addressBytes(from).copy(bytes, SELECTOR.from);
  bytes.writeUInt16LE(AF_INET, SELECTOR.family);
  bytes.writeUInt8(32, SELECTOR.toBits);
  bytes.writeUInt8(32, SELECTOR.fromBits);
  return bytes;
}

function templateOf({ source, destination, spi, interfaceId }: EspPolicy): Buffer {
  const bytes = Buffer.alloc(TEMPLATE_BYTES);
  addressBytes(destination).copy(bytes, TEMPLATE.destination);
  bytes.writeUInt32BE(spi, TEMPLATE.spi);
  bytes.writeUInt8(PROTOCOL_ESP, TEMPLATE.protocol);
  bytes.writeUInt16LE(AF_INET, TEMPLATE.family);
  addressBytes(source).copy(bytes, TEMPLATE.source);
  bytes.writeUInt32LE(interfaceId, TEMPLATE.request);
  bytes.writeUInt8(MODE_TUNNEL, TEMPLATE.mode);
  bytes.fill(0xff, TEMPLATE.algorithms); // any
  return bytes;
}

/** An address in the room of one of IPv6. */
const wide = (address: number): Buffer => Buffer.concat([addressBytes(address), Buffer.alloc(12)]);
