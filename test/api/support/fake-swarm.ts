// A node's place in a swarm, and a cluster that answers from tables and remembers what was asked.
import { BoundedQueue } from '../../../base/bounded-queue.ts';
import { fail } from '../../../base/errors.ts';
import type {
  SwarmAccess,
  SwarmInfo,
  SwarmInitRequest,
  SwarmJoinRequest,
  SwarmRestoreRequest,
} from '../../../api/deps.ts';
import type {
  ClusterChange,
  ClusterControl,
  ControlMethod,
  ControlReply,
  ControlRequest,
  LogOptions,
  LogSelector,
  TaskLogLine,
} from '../../../proto/control.ts';

export const INACTIVE: SwarmInfo = {
  state: 'inactive',
  nodeId: '',
  nodeAddress: '',
  controlAvailable: false,
  error: '',
  remoteManagers: [],
};

export const NOT_A_MANAGER =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';

type Answers = { [M in ControlMethod]?: (request: ControlRequest<M>) => ControlReply<M> };

export class FakeControl implements ClusterControl {
  readonly calls: { method: string; request: unknown }[] = [];
  readonly answers: Answers = {};
  readonly changeQueue = new BoundedQueue<ClusterChange>({ lengthMax: 100, whenFull: 'fail' });
  logLines: TaskLogLine[] = [];
  logRequests: { selector: LogSelector; options: LogOptions }[] = [];

  async call<M extends ControlMethod>(method: M, request: ControlRequest<M>): Promise<ControlReply<M>> {
    this.calls.push({ method, request });
    const answer = this.answers[method] ?? fail('not-found', `${method} has no answer in this fake`);
    return answer(request);
  }

  async *logs(selector: LogSelector, options: LogOptions): AsyncGenerator<TaskLogLine> {
    this.logRequests.push({ selector, options });
    yield* this.logLines;
  }

  changes(abort: AbortSignal): AsyncIterable<ClusterChange> {
    return this.changeQueue.drain(abort) as AsyncIterable<ClusterChange>;
  }
}

export class FakeSwarm implements SwarmAccess {
  readonly requests: unknown[] = [];
  readonly cluster = new FakeControl();
  current: SwarmInfo = INACTIVE;
  opened = Promise.resolve();

  info() {
    return this.current;
  }

  paths() {
    return [];
  }

  control(): ClusterControl {
    return this.current.controlAvailable ? this.cluster : fail('unavailable', NOT_A_MANAGER);
  }

  async init(request: SwarmInitRequest) {
    this.requests.push(request);
    return 'n'.repeat(25);
  }

  async join(request: SwarmJoinRequest) {
    this.requests.push(request);
  }

  async *backup() {
    yield Buffer.from('a backup');
  }

  async restore(request: SwarmRestoreRequest, file: Uint8Array) {
    this.requests.push({ ...request, file: Buffer.from(file).toString() });
    return 'r'.repeat(25);
  }

  async unlock(key: string) {
    this.requests.push({ unlock: key });
  }

  async leave(options: { force: boolean }) {
    this.requests.push(options);
  }
}
