// Passes questions on to the resolvers outside, over UDP, or over TCP when the client came by TCP or asks again after
// a cut answer. Every question has a deadline, and there is a bound to how many are under way.
// An answer counts only from the server that was asked, on the socket, with the id and for the question that were sent.
import { randomInt } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { connect } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import type { Upstream } from './contract.ts';
import { CODE, codeOfAnswer, isResponse } from './dns-wire.ts';
import { frameOf, StreamFrames } from './dns-stream.ts';

const SERVERS_MAX = 3;
const SOCKETS = 8; // each has a port of its own for a forger to guess
const UNDER_WAY_MAX = 4_096;
const TIMEOUT_MS = 2_000;

interface Waiting {
  readonly server: Upstream;
  readonly question: Buffer; // the bytes between header and records
  readonly done: (answer: Buffer | undefined) => void;
}

export class NameForwarder {
  readonly #clock: Pick<Clock, 'after'>;
  readonly #sockets = new Map<string, { socket: Socket; waiting: Map<number, Waiting> }>();
  #underWay = 0;

  constructor(clock: Pick<Clock, 'after'>) {
    this.#clock = clock;
  }

  /** Undefined: no server answered in time, or too many questions wait already. `questionEnd` is where it ends. */
  async ask(
    message: Buffer,
    questionEnd: number,
    servers: readonly Upstream[],
    overStream: boolean,
  ): Promise<Buffer | undefined> {
    if (this.#underWay >= UNDER_WAY_MAX) return undefined;
    this.#underWay += 1;
    let last: Buffer | undefined;
    try {
      for (const server of servers.slice(0, SERVERS_MAX)) {
        const answer = overStream
          ? await this.#askByStream(message, server)
          : await this.#askByDatagram(message, questionEnd, server);
        if (!answer) continue;
        last = answer;
        if (![CODE.failed, CODE.refused].includes(codeOfAnswer(answer) as 2)) break;
      }
    } finally {
      this.#underWay -= 1;
    }
    if (last) message.copy(last, 0, 0, 2); // the client's id
    return last;
  }

  close(): void {
    for (const { socket } of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  #askByDatagram(message: Buffer, questionEnd: number, server: Upstream): Promise<Buffer | undefined> {
    const { socket, waiting } = this.#socketFor(server);
    const id = freeId(waiting);
    const query = Buffer.from(message);
    query.writeUInt16BE(id, 0);
    return new Promise((resolve) => {
      const finish = (answer: Buffer | undefined): void => {
        timer.cancel();
        waiting.delete(id);
        resolve(answer);
      };
      const timer = this.#clock.after(TIMEOUT_MS, () => finish(undefined));
      waiting.set(id, { server, question: Buffer.from(query.subarray(12, questionEnd)), done: finish });
      socket.send(query, server.port, server.address, (error) => {
        if (error) finish(undefined);
      });
    });
  }

  #socketFor({ address }: Upstream): { socket: Socket; waiting: Map<number, Waiting> } {
    const type = address.includes(':') ? 'udp6' : 'udp4';
    const key = `${type} ${randomInt(SOCKETS)}`;
    const known = this.#sockets.get(key);
    if (known) return known;
    const socket = createSocket({ type, lookup: (name, _, answer) => answer(null, name, type === 'udp4' ? 4 : 6) });
    const entry = { socket, waiting: new Map<number, Waiting>() };
    socket.on('message', (answer, from) => take(entry.waiting, answer, from));
    socket.on('error', () => {
      this.#sockets.delete(key);
      for (const { done } of [...entry.waiting.values()]) done(undefined);
    });
    socket.unref();
    this.#sockets.set(key, entry);
    return entry;
  }

  #askByStream(message: Buffer, server: Upstream): Promise<Buffer | undefined> {
    return new Promise((resolve) => {
      const socket = connect({ host: server.address, port: server.port });
      const frames = new StreamFrames();
      const finish = (answer: Buffer | undefined): void => {
        timer.cancel();
        socket.destroy();
        resolve(answer);
      };
      const timer = this.#clock.after(TIMEOUT_MS, () => finish(undefined));
      socket.on('connect', () => socket.write(frameOf(message)));
      socket.on('data', (chunk) => {
        const [answer] = frames.push(chunk);
        if (answer && isResponse(answer)) finish(answer);
      });
      socket.on('error', () => finish(undefined));
      socket.on('close', () => finish(undefined));
    });
  }
}

function freeId(waiting: ReadonlyMap<number, unknown>): number {
  let id = randomInt(0x1_0000);
  while (waiting.has(id)) id = randomInt(0x1_0000);
  return id;
}

function take(waiting: Map<number, Waiting>, answer: Buffer, from: RemoteInfo): void {
  if (!isResponse(answer)) return;
  const entry = waiting.get(answer.readUInt16BE(0));
  if (!entry || entry.server.port !== from.port || entry.server.address !== from.address) return;
  if (!entry.question.equals(answer.subarray(12, 12 + entry.question.length))) return;
  entry.done(answer);
}
