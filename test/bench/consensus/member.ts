// One member of the raft group as a process of its own: the product's consensus, a key-value state machine, and a listener
// for clients. Told what to do by its parent.
import process from 'node:process';
import { Server, ServerCredentials, type sendUnaryData, type ServerUnaryCall, status } from '@grpc/grpc-js';
import { systemClock } from '../../../base/clock.ts';
import { codeOf, sentenceOf } from '../../../base/errors.ts';
import { createLog, silentLog } from '../../../base/log.ts';
import type { Consensus, ConsensusOptions, SnapshotChunk, StateMachine } from '../../../manager/raft/contract.ts';
import { startConsensus } from '../../../manager/raft/driver.ts';
import type { NodeId } from '../../../proto/objects.ts';
import { KV, Maintenance } from './kv-service.ts';

export type Order =
  | { readonly kind: 'start'; readonly options: ConsensusOptions; readonly clientAddress: string }
  | { readonly kind: 'add'; readonly nodeId: string; readonly raftAddress: string }
  | { readonly kind: 'hand-over' }
  | { readonly kind: 'work'; readonly forMs: number; readonly sliceMs: number };

export type Answer = { readonly id: number; readonly value?: unknown; readonly error?: string };

/** Keeps the last value of every key, as bytes of the request. */
class KeyValues implements StateMachine {
  #values = new Map<string, Uint8Array>();

  apply(_index: number, entry: Uint8Array): void {
    // Field 1 (the key) comes first: tag, length, bytes.
    const key = Buffer.from(entry.subarray(2, 2 + (entry[1] ?? 0))).toString('latin1');
    this.#values.set(key, entry);
  }

  async *snapshot(): AsyncIterable<SnapshotChunk> {
    for (const bytes of [...this.#values.values()]) yield { kind: 'value', bytes };
  }

  async restore(index: number, chunks: AsyncIterable<SnapshotChunk>): Promise<void> {
    this.#values = new Map();
    for await (const { bytes } of chunks) this.apply(index, bytes);
  }
}

const log = process.env['SHOAL_TEST_LOG'] ? createLog({ level: 'debug', fields: { pid: process.pid } }) : silentLog;
let consensus: Consensus | undefined;

process.on('message', (order: Order & { id: number }) => void obey(order));
process.on('disconnect', () => process.exit(0));

async function obey(order: Order & { id: number }): Promise<void> {
  const answer = (message: Omit<Answer, 'id'>): void => void process.send?.({ id: order.id, ...message });
  try {
    answer({ value: await carryOut(order) });
  } catch (error) {
    answer({ error: sentenceOf(error) });
  }
}

async function carryOut(order: Order): Promise<unknown> {
  if (order.kind === 'start') {
    consensus = await startConsensus(order.options, { stateMachine: new KeyValues(), clock: systemClock, log });
    return await listen(consensus, order.clientAddress);
  }
  if (!consensus) throw new Error('not started');
  switch (order.kind) {
    case 'add':
      return await consensus.addMember({ nodeId: order.nodeId as NodeId, raftAddress: order.raftAddress }, {});
    case 'hand-over':
      return await consensus.transferLeadership();
    case 'work':
      return await work(order);
  }
}

async function listen(on: Consensus, address: string): Promise<void> {
  const server = new Server();
  const put = KV.service['Put'];
  if (!put) throw new Error('no method Put');
  // The request is the entry as it came: nothing is gained by taking it apart here.
  const asItCame = { ...put, requestDeserialize: (bytes: Buffer) => bytes };
  server.addService({ Put: asItCame }, { Put: (call: PutCall, reply: Reply) => void propose(on, call, reply) });
  server.addService(Maintenance.service, {
    Status: (_call: unknown, reply: Reply) => reply(null, statusOf(on)),
  });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error) => (error ? reject(error) : resolve()));
  });
}

type PutCall = ServerUnaryCall<Buffer, object>;
type Reply = sendUnaryData<object>;

async function propose(on: Consensus, { request }: PutCall, reply: Reply): Promise<void> {
  try {
    reply(null, { header: { revision: await on.propose(request, {}) } });
  } catch (error) {
    const code = codeOf(error) === 'unavailable' ? status.UNAVAILABLE : status.UNKNOWN;
    reply({ code, details: sentenceOf(error) });
  }
}

function statusOf(on: Consensus): object {
  const { role, leaderId } = on.status();
  const number = (id: string | undefined): number => Number(/\d+$/.exec(id ?? '')?.[0] ?? 0);
  return { header: { member_id: role === 'leader' ? number(leaderId) : 1000 }, leader: number(leaderId) };
}

/** Keeps the main thread busy: `sliceMs` of work, one turn of the event loop, and again. */
async function work({ forMs, sliceMs }: { forMs: number; sliceMs: number }): Promise<void> {
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs) {
    const sliceEndMs = performance.now() + sliceMs;
    while (performance.now() < sliceEndMs) JSON.parse('[1,{"a":"b"}]');
    await new Promise((resolve) => setImmediate(resolve));
  }
}
