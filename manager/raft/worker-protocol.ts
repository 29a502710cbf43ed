// What the main thread and the consensus worker say to each other. Bytes travel in one buffer that changes hands.
import type { ErrorCode } from '../../base/errors.ts';
import type { LogFields } from '../../base/log.ts';
import type { NodeId } from '../../proto/objects.ts';
import type { CertificateMaterial, ConsensusOptions, ConsensusStatus } from './contract.ts';

export type ToWorker =
  | { readonly type: 'propose'; readonly ids: readonly number[]; readonly payloads: Packed }
  | { readonly type: 'read'; readonly ids: readonly number[] }
  | { readonly type: 'request'; readonly id: number; readonly request: MemberRequest }
  | { readonly type: 'applied'; readonly index: number }
  | { readonly type: 'snapshot-begin'; readonly index: number }
  | { readonly type: 'snapshot-chunk'; readonly kind: string; readonly bytes: Uint8Array }
  | { readonly type: 'snapshot-end'; readonly failed: string | undefined }
  | { readonly type: 'certificate'; readonly certificate: CertificateMaterial }
  | { readonly type: 'alive' };

export type MemberRequest =
  | { readonly kind: 'add-member'; readonly nodeId: NodeId; readonly raftAddress: string }
  | { readonly kind: 'remove-member'; readonly nodeId: NodeId; readonly force: boolean }
  | {
      readonly kind: 'replace-member';
      readonly leaving: NodeId;
      readonly nodeId: NodeId;
      readonly raftAddress: string;
    }
  | { readonly kind: 'transfer'; readonly to: NodeId | undefined }
  | { readonly kind: 'rekey'; readonly nodeKeys: readonly Uint8Array[]; readonly rotate: boolean }
  | { readonly kind: 'stop' };

export type FromWorker =
  | { readonly type: 'opened'; readonly logId: string; readonly epoch: number }
  | { readonly type: 'started' }
  | { readonly type: 'start-failed'; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'status'; readonly status: WorkerStatus }
  | ({ readonly type: 'committed' } & Committed)
  | { readonly type: 'reads-confirmed'; readonly ids: readonly number[]; readonly index: number }
  | { readonly type: 'failed'; readonly ids: readonly number[]; readonly code: ErrorCode; readonly message: string }
  | { readonly type: 'done'; readonly id: number }
  | { readonly type: 'snapshot-wanted' }
  | { readonly type: 'snapshot-chunk-written' }
  | { readonly type: 'snapshot-over' }
  | { readonly type: 'restore'; readonly index: number; readonly kinds: readonly string[]; readonly chunks: Packed }
  | {
      readonly type: 'log';
      readonly level: 'debug' | 'info' | 'warn' | 'error';
      readonly event: string;
      readonly fields: LogFields;
    }
  | { readonly type: 'fatal'; readonly message: string };

export type WorkerStatus = Omit<ConsensusStatus, 'appliedIndex'>;
export type WorkerOptions = Omit<ConsensusOptions, 'advertise'> & { readonly raftAddress: string };

export interface Committed {
  /** Everything up to here is committed and, with this, handed over. */
  readonly upTo: number;
  /** The indexes of the state machine's entries among them. */
  readonly indexes: readonly number[];
  readonly entries: Packed;
  /** (index, id of the proposal) of those that were proposed here. */
  readonly proposals: readonly (readonly [number, number])[];
}

export interface Packed {
  readonly lengths: readonly number[];
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Copies into a buffer of its own, which can then be transferred. */
export function pack(parts: readonly Uint8Array[]): Packed {
  const lengths = parts.map((part) => part.length);
  const bytes = new Uint8Array(lengths.reduce((sum, length) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return { lengths, bytes };
}

export function unpack({ lengths, bytes }: Packed): Uint8Array[] {
  let offset = 0;
  return lengths.map((length) => {
    offset += length;
    return bytes.subarray(offset - length, offset);
  });
}
