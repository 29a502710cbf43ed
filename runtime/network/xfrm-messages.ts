// The kernel's IPsec: what one direction of ESP between two addresses is made of.
// Source: Linux include/uapi/linux/xfrm.h; `ip xfrm state add` sends the same bytes.
import { addressBytes } from './addresses.ts';
import { type MessageWriter, NLM_F_ACK } from './netlink.ts';
import { AF_INET } from './rtnetlink.ts';

const XFRM_MSG_NEWSA = 16;
const XFRMA_ALG_AEAD = 18;
const PROTOCOL_ESP = 50;
const MODE_TUNNEL = 1;
const TAG_BITS = 128;
const ALGORITHM = 'rfc4106(gcm(aes))';
const NAME_BYTES = 64;

// Of struct xfrm_usersa_info.
const STATE_BYTES = 224;
const AT = {
  destination: 56,
  spi: 72,
  protocol: 76,
  source: 80,
  limits: 96,
  request: 208,
  family: 212,
  mode: 214,
  replay: 215,
};
const LIMITS_BYTES = 32; // of four numbers that are as high as they can be: none

export interface EspState {
  readonly source: number;
  readonly destination: number;
  readonly spi: number;
  readonly request: number; // by which a policy names it
  readonly replayWindow: number;
  /** Of AES, and four bytes of salt. */
  readonly key: Uint8Array;
}

export function addEspState(writer: MessageWriter, state: EspState): void {
  const body = Buffer.alloc(STATE_BYTES);
  addressBytes(state.destination).copy(body, AT.destination);
  body.writeUInt32BE(state.spi, AT.spi);
  body.writeUInt8(PROTOCOL_ESP, AT.protocol);
  addressBytes(state.source).copy(body, AT.source);
  body.fill(0xff, AT.limits, AT.limits + LIMITS_BYTES);
  body.writeUInt32LE(state.request, AT.request);
  body.writeUInt16LE(AF_INET, AT.family);
  body.writeUInt8(MODE_TUNNEL, AT.mode);
  body.writeUInt8(state.replayWindow, AT.replay);
  writer.message(XFRM_MSG_NEWSA, NLM_F_ACK, body, () => writer.bytes(XFRMA_ALG_AEAD, algorithmOf(state.key)));
}

function algorithmOf(key: Uint8Array): Buffer {
  const head = Buffer.alloc(NAME_BYTES + 8);
  head.write(ALGORITHM);
  head.writeUInt32LE(key.length * 8, NAME_BYTES);
  head.writeUInt32LE(TAG_BITS, NAME_BYTES + 4);
  return Buffer.concat([head, key]);
}
