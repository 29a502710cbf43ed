// The control operations on any manager. Reads are answered here, once this manager has applied what the leader had
// committed when they were asked. Writes are carried out here when this one leads, else passed on to the leader over mutual
// TLS. Whoever took the call first says who asks; the leader believes managers only, and checks that against the
// connection's certificate.
import { asOneOf, parseJson } from '../base/parse.ts';
import { CodedError, codeOf, fail } from '../base/errors.ts';
import {
  type Caller,
  CONTROL_METHODS,
  type ClusterChange,
  type ClusterControl,
  type ControlMethod,
  type ControlReply,
  type ControlRequest,
  type LogOptions,
  type LogSelector,
  type TaskLogLine,
} from '../proto/control.ts';
import { agreeOnProtocol, encodeJson, PROTOCOL } from '../proto/assignment.ts';
import type { ControlHandlers } from '../proto/gen/shoal/control/v1/Control.ts';
import type { ControlReply as ReplyMessage, ControlReplyInput } from '../proto/gen/shoal/control/v1/ControlReply.ts';
import type {
  ControlRequest as RequestMessage,
  ControlRequestInput,
} from '../proto/gen/shoal/control/v1/ControlRequest.ts';
import type { Caller as CallerMessage } from '../proto/gen/shoal/control/v1/Caller.ts';
import type { Identity } from '../proto/identity.ts';
import type { NodeId } from '../proto/objects.ts';
import { type LeaderLink, type Method, unaryHandler } from '../proto/rpc.ts';
import { Control as ControlService } from '../proto/services.ts';
import type { Control } from './control/control.ts';
import type { LogBroker } from './dispatcher/log-broker.ts';
import type { Consensus, ConsensusStatus } from './raft/contract.ts';
import type { FollowerReads } from './read-index.ts';
import type { Store } from './store/contract.ts';

export interface ForwardDeps {
  readonly nodeId: NodeId;
  readonly control: Control;
  readonly consensus: Pick<Consensus, 'readBarrier' | 'status'>;
  readonly leader: LeaderLink;
  readonly reads: Pick<FollowerReads, 'barrier'>;
  readonly store: Store;
  readonly logs: Pick<LogBroker, 'logs'>;
}

type ControlCall = Method<ControlRequestInput, ControlReplyInput, RequestMessage, ReplyMessage>;

const CALL_WITHIN_MS = 2_000;
const PROTOCOL_MESSAGE = { ...PROTOCOL, features: [...PROTOCOL.features] };

export class ForwardedControl implements ClusterControl {
  readonly #deps: ForwardDeps;
  /** The term for which this leader is known to have applied everything that was committed before it. */
  #caughtUpTerm = -1;

  constructor(deps: ForwardDeps) {
    this.#deps = deps;
  }

  async call<M extends ControlMethod>(
    method: M,
    request: ControlRequest<M>,
    { abort, stale }: { abort?: AbortSignal | undefined; stale?: boolean | undefined } = {},
  ): Promise<ControlReply<M>> {
    const caller: Caller = { id: this.#deps.nodeId, role: 'operator' };
    if (CONTROL_METHODS[method] !== 'read') return await this.#write(method, request, caller, abort);
    if (stale) return await this.#deps.control.call(method, request, { caller, abort });
    return await this.#read(method, request, caller, abort);
  }

  async #read<M extends ControlMethod>(
    method: M,
    request: ControlRequest<M>,
    caller: Caller,
    abort: AbortSignal | undefined,
  ): Promise<ControlReply<M>> {
    const { leader, reads, consensus, control } = this.#deps;
    await leader.run({
      local: async (signal) => {
        requireLead(consensus);
        await consensus.readBarrier({ abort: signal });
      },
      remote: (channel, signal) => reads.barrier(channel, signal),
      repeatable: true,
      abort,
    });
    // Outside of it: what the state refuses here is the answer, and no leader's loss.
    return await control.call(method, request, { caller, abort });
  }

  async #write<M extends ControlMethod>(
    method: M,
    request: ControlRequest<M>,
    caller: Caller,
    abort: AbortSignal | undefined,
  ): Promise<ControlReply<M>> {
    const { leader, nodeId } = this.#deps;
    return await leader.run({
      local: (signal) => this.#here(method, request, caller, signal),
      remote: async (channel, signal) => {
        const message = { protocol: PROTOCOL_MESSAGE, caller: { ...caller, forwardedBy: nodeId } };
        const call: ControlCall = ControlService[method];
        const reply = await channel.call(
          call,
          { ...message, json: encodeJson(request) },
          { withinMs: CALL_WITHIN_MS, abort: signal },
        );
        return parseJson(reply.json.toString('utf8'), 'the reply') as ControlReply<M>;
      },
      repeatable: false,
      abort,
    });
  }

  logs(selector: LogSelector, options: LogOptions, abort: AbortSignal): AsyncIterable<TaskLogLine> {
    return this.#deps.logs.logs(selector, options, abort);
  }

  async *changes(abort: AbortSignal): AsyncGenerator<ClusterChange, void, void> {
    const { changes } = this.#deps.store.viewAndWatch(['service', 'task', 'node', 'network'], { abort });
    for await (const change of changes) {
      if (change.kind !== 'cluster' && change.kind !== 'guest' && change.kind !== 'keyring') yield change;
    }
  }

  /** What other managers pass on. */
  handlers(identify: (call: { getAuthContext(): unknown }) => Identity): ControlHandlers {
    const handler = (method: ControlMethod) =>
      unaryHandler<RequestMessage, ControlReplyInput>(async (request, call, abort) => {
        agreeOnProtocol(request.protocol, 'the manager');
        const caller = passedOn(request.caller, identify(call));
        const json = parseJson(request.json.toString('utf8'), 'request');
        return { json: encodeJson(await this.#here(method, json, caller, abort)) };
      });
    const methods = Object.keys(CONTROL_METHODS) as ControlMethod[];
    return Object.fromEntries(methods.map((method) => [method, handler(method)])) as unknown as ControlHandlers;
  }

  async #here<M extends ControlMethod>(
    method: M,
    request: unknown,
    caller: Caller,
    abort: AbortSignal,
  ): Promise<ControlReply<M>> {
    const { consensus, control } = this.#deps;
    const { term } = requireLead(consensus);
    if (CONTROL_METHODS[method] !== 'write' || this.#caughtUpTerm !== term) {
      await consensus.readBarrier({ abort });
      this.#caughtUpTerm = term;
    }
    try {
      return await control.call(method, request, { caller, abort });
    } catch (error) {
      // A refusal says what the state is, which only a leader knows: one that was deposed meanwhile must not say it.
      if (CONTROL_METHODS[method] === 'write' && isRefusal(error)) await consensus.readBarrier({ abort });
      throw error;
    }
  }
}

function requireLead(consensus: Pick<Consensus, 'status'>): ConsensusStatus {
  const status = consensus.status();
  if (status.role !== 'leader') throw new CodedError('unavailable', 'this manager does not lead');
  return status;
}

const NO_REFUSALS: ReadonlySet<string> = new Set([
  'unavailable',
  'unknown-outcome',
  'exhausted',
  'aborted',
  'deadline',
  'internal',
]);

const isRefusal = (error: unknown): boolean => !NO_REFUSALS.has(codeOf(error));

/** A manager may speak for operators at its own API, nobody else. */
function passedOn(message: CallerMessage | null, from: Identity): Caller {
  const { id, role } = message ?? fail('invalid', 'a call that is passed on says who asks');
  if (id !== from.nodeId) fail('forbidden', `manager ${from.nodeId} passes on a call in the name of ${id}`);
  return { id, role: asOneOf(role, 'caller.role', ['operator', 'manager', 'worker']), forwardedBy: from.nodeId };
}
