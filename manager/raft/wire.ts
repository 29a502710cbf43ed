// Messages as they travel (proto/raft.proto) and as the core knows them. Whatever arrives is checked here once.
import { join } from 'node:path';
import { loadSync, type MessageTypeDefinition } from '@grpc/proto-loader';
import { fail } from '../../base/errors.ts';
import { PACKAGE_ROOT } from '../../base/package-root.ts';
import { asArray, asBoolean, asInteger, asObject, asString, type Json } from '../../base/parse.ts';
import type { SnapshotChunk } from './contract.ts';
import type { Entry, EntryKind, MemberId, Message, SnapshotMessage } from './core/types.ts';
import { parseMembership } from './snapshot-file.ts';

/** 2: frames on a plain TLS connection. */
export const PROTOCOL = 2;
export const PROTOCOL_MIN = 2;

export interface Hello {
  readonly protocol_min: number;
  readonly protocol_max: number;
  readonly features: readonly string[];
  readonly cluster_id: string;
  readonly from: string;
  readonly to: string;
  readonly raft_address: string;
  readonly membership_index: number;
  readonly epoch: number;
  readonly purpose: Purpose;
}

/** What a connection is for. */
export type Purpose = 'EXCHANGE' | 'INSTALL_SNAPSHOT';

const PROTO = join(PACKAGE_ROOT, 'proto/raft.proto');
const OPTIONS = { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true } as const;
const FRAME = loadSync(PROTO, OPTIONS)['shoal.raft.v1.Frame'] as MessageTypeDefinition<object, object>;

/** What a frame is, and its body, which whoever expects it parses. */
export interface Frame {
  readonly name: string;
  readonly body: unknown;
}

export const encodeFrame = (frame: object): Buffer => FRAME.serialize(frame);

export function decodeFrame(bytes: Buffer): Frame {
  const wire = decoded(bytes);
  const name = asString(wire['body'], 'body');
  return { name, body: wire[name] };
}

function decoded(bytes: Buffer): Json {
  try {
    return asObject(FRAME.deserialize(bytes), 'frame');
  } catch (cause) {
    return fail('invalid', 'a frame that can not be read', { cause });
  }
}

const KIND_TO_WIRE = { data: 'DATA', membership: 'MEMBERSHIP', noop: 'NOOP' } as const satisfies Record<
  EntryKind,
  string
>;
const KIND_FROM_WIRE: Readonly<Record<string, EntryKind>> = { DATA: 'data', MEMBERSHIP: 'membership', NOOP: 'noop' };

export function messageToWire(message: Exclude<Message, SnapshotMessage>): object {
  return { term: message.term, ...bodyToWire(message) };
}

function bodyToWire(message: Exclude<Message, SnapshotMessage>): object {
  switch (message.type) {
    case 'pre-vote-request':
    case 'vote-request': {
      const { lastIndex: last_index, lastTerm: last_term, transfer } = message;
      const request = { last_index, last_term, transfer };
      return message.type === 'vote-request' ? { vote_request: request } : { pre_vote_request: request };
    }
    case 'pre-vote-response':
      return { pre_vote_response: { granted: message.granted } };
    case 'vote-response':
      return { vote_response: { granted: message.granted } };
    case 'append': {
      const { prevIndex: prev_index, prevTerm: prev_term, commit } = message;
      return { append: { prev_index, prev_term, commit, entries: message.entries.map(entryToWire) } };
    }
    case 'append-response': {
      const { index, rejected, hintIndex: hint_index, hintTerm: hint_term } = message;
      return { append_response: { index, rejected, hint_index, hint_term } };
    }
    case 'heartbeat':
      return { heartbeat: { commit: message.commit, round: message.round } };
    case 'heartbeat-response':
      return { heartbeat_response: { round: message.round } };
    case 'timeout-now':
      return { timeout_now: {} };
  }
}

const entryToWire = ({ index, term, kind, bytes }: Entry): object => ({ index, term, kind: KIND_TO_WIRE[kind], bytes });

/** A message from the member that the certificate names; its own claim about who sent it is not asked. */
export function messageFromWire(value: unknown, from: MemberId, to: MemberId): Message {
  const wire = asObject(value, 'message');
  const envelope = { from, to, term: natural(wire, 'term') };
  const name = asString(wire['body'], 'message.body');
  const body = asObject(wire[name], `message.${name}`);
  switch (name) {
    case 'pre_vote_request':
    case 'vote_request':
      return {
        ...envelope,
        type: name === 'vote_request' ? 'vote-request' : 'pre-vote-request',
        lastIndex: natural(body, 'last_index'),
        lastTerm: natural(body, 'last_term'),
        transfer: asBoolean(body['transfer'], 'transfer'),
      };
    case 'pre_vote_response':
    case 'vote_response':
      return {
        ...envelope,
        type: name === 'vote_response' ? 'vote-response' : 'pre-vote-response',
        granted: asBoolean(body['granted'], 'granted'),
      };
    case 'append':
      return { ...envelope, type: 'append', ...appendFromWire(body) };
    case 'append_response':
      return {
        ...envelope,
        type: 'append-response',
        index: natural(body, 'index'),
        rejected: asBoolean(body['rejected'], 'rejected'),
        hintIndex: natural(body, 'hint_index'),
        hintTerm: natural(body, 'hint_term'),
      };
    case 'heartbeat':
      return { ...envelope, type: 'heartbeat', commit: natural(body, 'commit'), round: natural(body, 'round') };
    case 'heartbeat_response':
      return { ...envelope, type: 'heartbeat-response', round: natural(body, 'round') };
    case 'timeout_now':
      return { ...envelope, type: 'timeout-now' };
    default:
      return fail('invalid', `message of unknown kind '${name}'`);
  }
}

function appendFromWire(body: Json) {
  const prevIndex = natural(body, 'prev_index');
  const entries = asArray(body['entries'], 'entries', entryFromWire);
  for (const [offset, { index }] of entries.entries()) {
    if (index !== prevIndex + 1 + offset) fail('invalid', `entry ${index} does not follow on ${prevIndex + offset}`);
  }
  return { prevIndex, prevTerm: natural(body, 'prev_term'), commit: natural(body, 'commit'), entries };
}

function entryFromWire(value: unknown, path: string): Entry {
  const wire = asObject(value, path);
  const kind = KIND_FROM_WIRE[asString(wire['kind'], `${path}.kind`)];
  if (!kind) fail('invalid', `${path}.kind is not known`);
  return { index: natural(wire, 'index'), term: natural(wire, 'term'), kind, bytes: bytesOf(wire, 'bytes') };
}

export function snapshotToWire({ term, snapshot }: SnapshotMessage): object {
  const { members, removed, outgoing = [] } = snapshot.membership;
  return { term, index: snapshot.index, snapshot_term: snapshot.term, members, removed, outgoing };
}

export function snapshotFromWire(value: unknown, from: MemberId, to: MemberId): SnapshotMessage {
  const wire = asObject(value, 'begin');
  const membership = parseMembership(wire, 'begin');
  const snapshot = { index: natural(wire, 'index'), term: natural(wire, 'snapshot_term'), membership };
  return { type: 'snapshot', from, to, term: natural(wire, 'term'), snapshot };
}

export function chunkFromWire(value: unknown): SnapshotChunk {
  const wire = asObject(value, 'chunk');
  return { kind: asString(wire['kind'], 'chunk.kind'), bytes: bytesOf(wire, 'bytes') };
}

export function helloFromWire(value: unknown): Hello {
  const wire = asObject(value, 'hello');
  return {
    protocol_min: natural(wire, 'protocol_min'),
    protocol_max: natural(wire, 'protocol_max'),
    features: asArray(wire['features'], 'features', (item, path) => asString(item, path, { lengthMax: 100 })),
    cluster_id: asString(wire['cluster_id'], 'cluster_id', { lengthMax: 100 }),
    from: asString(wire['from'], 'from', { lengthMax: 100 }),
    to: asString(wire['to'], 'to', { lengthMax: 100 }),
    raft_address: asString(wire['raft_address'], 'raft_address', { lengthMax: 300 }),
    membership_index: natural(wire, 'membership_index'),
    epoch: natural(wire, 'epoch'),
    purpose: purposeOf(wire['purpose']),
  };
}

function purposeOf(value: unknown): Purpose {
  return value === 'EXCHANGE' || value === 'INSTALL_SNAPSHOT' ? value : fail('invalid', 'hello.purpose is not known');
}

function natural(body: Json, field: string): number {
  const value = asInteger(body[field], field, { min: 0 });
  return Number.isSafeInteger(value) ? value : fail('invalid', `${field} is larger than 2^53`);
}

function bytesOf(body: Json, field: string): Uint8Array {
  const value = body[field];
  return value instanceof Uint8Array ? value : fail('invalid', `${field} must be bytes`);
}
