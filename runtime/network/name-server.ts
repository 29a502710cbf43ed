// Answers the questions that come to 127.0.0.11 in containers' namespaces: two sockets for each of them.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import type { Server, Socket as Stream } from 'node:net';
import type { Upstream } from './contract.ts';
import { frameOf, StreamFrames } from './dns-stream.ts';
import {
  CODE,
  lengthMaxOf,
  type Question,
  readQuestion,
  TCP_LENGTH_MAX,
  writeAnswer,
  writeRefusal,
} from './dns-wire.ts';
import type { NameForwarder } from './name-forwarder.ts';
import { NameResolver, type Scope } from './name-resolver.ts';
import { NameTable } from './name-table.ts';
import type { NameChange } from './names.ts';

const STREAMS_MAX = 64; // of one container
const FORWARDED_MAX = 256; // of one container, at a time
const STREAM_IDLE_MS = 10_000;

interface Place {
  scope: Scope;
  forwarded: number;
  readonly socket: Socket;
  readonly server: Server;
  readonly streams: Set<Stream>;
}

export class NameServer {
  readonly #tables = new Map<string, NameTable>();
  readonly #resolver = new NameResolver(this.#tables);
  readonly #places = new Map<string, Place>();
  readonly #forwarder: NameForwarder;
  #upstreams: readonly Upstream[] = [];

  constructor(forwarder: NameForwarder) {
    this.#forwarder = forwarder;
  }

  change(change: NameChange): void {
    const { networkId, owner } = change;
    const table = this.#tables.get(networkId) ?? new NameTable();
    this.#tables.set(networkId, table);
    // Order was decided where the change was made: here each one is the latest.
    if (change.do === 'drop') table.drop(owner);
    else if (change.do === 'set') table.set(owner, 0, change.records);
    else table.change(owner, 0, change);
    if (table.owners().length === 0) this.#tables.delete(networkId);
  }

  setUpstreams(upstreams: readonly Upstream[]): void {
    this.#upstreams = upstreams;
  }

  /** False: there are no sockets for it yet. */
  setScope(path: string, scope: Scope): boolean {
    const place = this.#places.get(path);
    if (place) place.scope = scope;
    return place !== undefined;
  }

  open(path: string, scope: Scope, handle: object, server: Server): void {
    // Whoever asks is in the container: its address is a number, and nothing is looked up.
    const socket = createSocket({ type: 'udp4', lookup: (name, _, answer) => answer(null, name, 4) });
    const place: Place = { scope, forwarded: 0, socket, server, streams: new Set() };
    socket.on('message', (message, from) => void this.#onDatagram(place, message, from));
    socket.on('error', () => this.close(path));
    server.on('connection', (stream) => this.#onStream(place, stream));
    server.on('error', () => this.close(path));
    this.close(path);
    this.#places.set(path, place);
    bindToHandle(socket, handle);
  }

  close(path: string): void {
    const place = this.#places.get(path);
    if (!place) return;
    this.#places.delete(path);
    place.socket.close();
    place.server.close();
    for (const stream of place.streams) stream.destroy();
  }

  async #onDatagram(place: Place, message: Buffer, from: RemoteInfo): Promise<void> {
    const answer = this.#answerNow(place, message, undefined) ?? (await this.#forward(place, message, false));
    if (answer && answer.length > 0) place.socket.send(answer, from.port, from.address, () => undefined);
  }

  #onStream(place: Place, stream: Stream): void {
    if (place.streams.size >= STREAMS_MAX) {
      stream.destroy();
      return;
    }
    place.streams.add(stream);
    const frames = new StreamFrames();
    stream.setTimeout(STREAM_IDLE_MS, () => stream.destroy());
    stream.on('close', () => place.streams.delete(stream));
    stream.on('error', () => stream.destroy());
    stream.on('data', (chunk) => {
      for (const message of frames.push(chunk)) void this.#onFrame(place, stream, message);
    });
  }

  async #onFrame(place: Place, stream: Stream, message: Buffer): Promise<void> {
    const answer = this.#answerNow(place, message, TCP_LENGTH_MAX) ?? (await this.#forward(place, message, true));
    if (answer && answer.length > 0 && stream.writable) stream.write(frameOf(answer));
  }

  /** Undefined: it is to be asked outside. Empty: no answer at all. */
  #answerNow(place: Place, message: Buffer, lengthMax: number | undefined): Buffer | undefined {
    const question = readQuestion(message);
    if (!question) return NOTHING;
    if ('code' in question) return writeRefusal(message, question.code);
    const answer = this.#resolver.answer(place.scope, question.name, question.type);
    if (answer.do === 'forward') return undefined;
    return writeAnswer(message, question, answer, lengthMax ?? lengthMaxOf(question));
  }

  async #forward(place: Place, message: Buffer, overStream: boolean): Promise<Buffer | undefined> {
    const question = readQuestion(message) as Question;
    if (place.forwarded >= FORWARDED_MAX) return failure(message, question);
    place.forwarded += 1;
    try {
      const { upstreams } = place.scope;
      const servers = upstreams.length > 0 ? upstreams : this.#upstreams;
      const answer = await this.#forwarder.ask(message, question.end, servers, overStream);
      return answer ?? failure(message, question);
    } finally {
      place.forwarded -= 1;
    }
  }
}

const NOTHING = Buffer.alloc(0);

const failure = (message: Buffer, question: Question): Buffer =>
  writeAnswer(message, question, { code: CODE.failed, records: [] }, TCP_LENGTH_MAX);

/** Node takes a socket that another process opened; its types do not say so. */
function bindToHandle(socket: Socket, handle: object): void {
  (socket as unknown as { bind(handle: object): void }).bind(handle);
}
