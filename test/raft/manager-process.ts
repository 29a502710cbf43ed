// One manager's consensus as a process of its own, told what to do by messages: for tests that kill and stop processes.
import process from 'node:process';
import { systemClock } from '../../base/clock.ts';
import { codeOf, sentenceOf } from '../../base/errors.ts';
import { createLog, silentLog } from '../../base/log.ts';
import type { Consensus, ConsensusOptions } from '../../manager/raft/contract.ts';
import { startConsensus } from '../../manager/raft/driver.ts';
import type { NodeId } from '../../proto/objects.ts';
import { Journal } from './journal.ts';

export type Order =
  | { readonly kind: 'start'; readonly options: ConsensusOptions }
  | { readonly kind: 'propose'; readonly text: string }
  | { readonly kind: 'read' }
  | { readonly kind: 'add'; readonly nodeId: string; readonly raftAddress: string }
  | { readonly kind: 'status' }
  | { readonly kind: 'texts' }
  | { readonly kind: 'load'; readonly inFlight: number; readonly bytes: number; readonly forMs: number }
  | { readonly kind: 'block'; readonly forMs: number }
  | { readonly kind: 'stop' };

export type Answer = { readonly id: number } & (
  | { readonly value: unknown }
  | { readonly code: string; readonly message: string }
);

const journal = new Journal();
const log = process.env['SHOAL_TEST_LOG'] ? createLog({ level: 'debug', fields: { pid: process.pid } }) : silentLog;
let consensus: Consensus | undefined;

process.on('message', (order: Order & { id: number }) => void obey(order));
process.on('disconnect', () => process.exit(0));

async function obey(order: Order & { id: number }): Promise<void> {
  try {
    answer({ id: order.id, value: await carryOut(order) });
  } catch (error) {
    answer({ id: order.id, code: codeOf(error), message: sentenceOf(error) });
  }
}

function answer(message: Answer): void {
  if (process.connected) process.send?.(message);
}

async function carryOut(order: Order): Promise<unknown> {
  if (order.kind === 'start') {
    consensus = await startConsensus(order.options, { stateMachine: journal, clock: systemClock, log });
    return undefined;
  }
  if (!consensus) throw new Error('not started');
  switch (order.kind) {
    case 'propose':
      return consensus.propose(Buffer.from(order.text), {});
    case 'read':
      return consensus.readBarrier({});
    case 'add':
      return consensus.addMember({ nodeId: order.nodeId as NodeId, raftAddress: order.raftAddress }, {});
    case 'status':
      return consensus.status();
    case 'texts':
      return journal.texts;
    case 'load':
      return load(consensus, order);
    case 'block':
      return block(order.forMs);
    case 'stop':
      return consensus.stop();
  }
}

/** Closed loop: so many proposals under way, all the time. */
async function load(
  on: Consensus,
  { inFlight, bytes, forMs }: { inFlight: number; bytes: number; forMs: number },
): Promise<{ perSecond: number; p50Ms: number; p99Ms: number }> {
  const latenciesMs: number[] = [];
  const payload = Buffer.alloc(bytes, 'x');
  const endMs = performance.now() + forMs;
  const client = async (): Promise<void> => {
    while (performance.now() < endMs) {
      const startMs = performance.now();
      await on.propose(payload, {});
      latenciesMs.push(performance.now() - startMs);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, client));
  latenciesMs.sort((a, b) => a - b);
  const at = (share: number): number => latenciesMs[Math.floor(latenciesMs.length * share)] ?? 0;
  return { perSecond: Math.round((latenciesMs.length / forMs) * 1_000), p50Ms: at(0.5), p99Ms: at(0.99) };
}

/** A main thread that does nothing else for a while. */
function block(forMs: number): void {
  const endMs = performance.now() + forMs;
  while (performance.now() < endMs);
}
