// The live feed of one page: the whole state, then every change; managers as they are observed.
// A page that does not read is cut off, rather than being remembered without bound.
import type { WebSocket } from 'ws';
import type { Clock } from '../../base/clock.ts';
import { codeOf, fail, sentenceOf } from '../../base/errors.ts';
import type { Log } from '../../base/log.ts';
import { asInteger, asObject, asOneOf, asString, parseJson } from '../../base/parse.ts';
import type { ClusterControl } from '../../proto/control.ts';
import type { FeedMessage, ScaleRequest, ViewChange } from '../types/dashboard-feed.ts';
import { managerView, nodeView, serviceView, taskView, viewChange } from './views.ts';

const OUTBOX_BYTES_MAX = 8 << 20;
const OBSERVE_EVERY_MS = 500;

export interface FeedDeps {
  readonly control: () => ClusterControl;
  readonly clock: Clock;
  readonly log: Log;
}

export class Feed {
  readonly #socket: WebSocket;
  readonly #deps: FeedDeps;
  readonly #ended = new AbortController();
  #managers = '';
  #pending: ViewChange[] = [];
  #flushing = false;

  constructor(socket: WebSocket, deps: FeedDeps) {
    this.#socket = socket;
    this.#deps = deps;
    socket.on('close', () => this.#ended.abort());
    socket.on('error', () => this.#ended.abort());
    socket.on('message', (data) => void this.#take(Buffer.isBuffer(data) ? data.toString('utf8') : ''));
  }

  /** Serves the page until it goes or the daemon stops; starts again from the whole state after trouble. */
  async run(abort: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([abort, this.#ended.signal]);
    while (!signal.aborted) {
      try {
        await Promise.race([this.#follow(signal), this.#observe(signal)]);
      } catch (error) {
        if (signal.aborted) break;
        this.#send({ type: 'trouble', message: sentenceOf(error) });
        await this.#deps.clock.sleep(OBSERVE_EVERY_MS, { abort: signal }).catch(() => undefined); // the loop's condition tells
      }
    }
    this.#socket.close();
  }

  async #follow(abort: AbortSignal): Promise<void> {
    const control = this.#deps.control();
    // Subscribed before the state is read: a change in between is then applied twice, never lost.
    const changes = control.changes(abort)[Symbol.asyncIterator]();
    let next = changes.next();
    next.catch(() => undefined); // awaited below
    await this.#sendState(control, abort);
    for (;;) {
      const { value, done } = await next;
      if (done) return;
      next = changes.next();
      next.catch(() => undefined);
      if (value.kind === 'resync') await this.#sendState(control, abort);
      else this.#queue(viewChange(value));
    }
  }

  async #sendState(control: ClusterControl, abort: AbortSignal): Promise<void> {
    const [{ nodes, managers }, { services }, { tasks }] = await Promise.all([
      control.call('ListNodes', { filter: {} }, { abort }),
      control.call('ListServices', { filter: {}, status: false }, { abort }),
      control.call('ListTasks', { filter: {} }, { abort }),
    ]);
    this.#pending = [];
    this.#send({
      type: 'state',
      nodes: nodes.map(nodeView),
      services: services.map(serviceView),
      tasks: tasks.map(taskView),
      managers: managers.map(managerView),
    });
  }

  /** Leadership and reachability are not stored, so they are asked for. */
  async #observe(abort: AbortSignal): Promise<void> {
    for (;;) {
      await this.#deps.clock.sleep(OBSERVE_EVERY_MS, { abort });
      const { managers } = await this.#deps.control().call('ListNodes', { filter: {} }, { abort });
      const views = managers.map(managerView);
      const text = JSON.stringify(views);
      if (text !== this.#managers) this.#send({ type: 'managers', managers: views });
      this.#managers = text;
    }
  }

  /** Changes of one turn of the event loop travel together. */
  #queue(change: ViewChange | undefined): void {
    if (!change) return;
    this.#pending.push(change);
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      if (this.#pending.length > 0) this.#send({ type: 'changes', changes: this.#pending });
      this.#pending = [];
    });
  }

  async #take(text: string): Promise<void> {
    try {
      await this.#scale(parseRequest(text));
    } catch (error) {
      if (codeOf(error) === 'internal') this.#deps.log.warn('dashboard request failed', { error });
      this.#send({ type: 'trouble', message: sentenceOf(error) });
    }
  }

  async #scale({ service: id, by }: ScaleRequest): Promise<void> {
    const control = this.#deps.control();
    const { service } = await control.call('GetService', { service: id }, { abort: this.#ended.signal });
    const { mode } = service.spec;
    if (mode.kind !== 'replicated')
      fail('invalid', `service ${service.spec.name} runs once on every node and has no count`);
    const spec = { ...service.spec, mode: { ...mode, replicas: Math.max(0, mode.replicas + by) } };
    const request = { service: service.id, version: service.version, spec, rollback: 'none' as const };
    await control.call('UpdateService', request, { abort: this.#ended.signal });
  }

  #send(message: FeedMessage): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return;
    if (this.#socket.bufferedAmount > OUTBOX_BYTES_MAX) this.#socket.terminate();
    else this.#socket.send(JSON.stringify(message));
  }
}

function parseRequest(text: string): ScaleRequest {
  const json = asObject(parseJson(text, 'request'), 'request');
  const by = asInteger(json['by'], 'by', { min: -1, max: 1 });
  if (by === 0) fail('invalid', 'by must be 1 or -1');
  return {
    type: asOneOf(json['type'], 'type', ['scale']),
    service: asString(json['service'], 'service'),
    by: by as 1 | -1,
  };
}
