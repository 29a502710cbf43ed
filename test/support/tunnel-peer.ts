// A tunnel by hand: the native one started alone, its lines spoken to it, and another implementation of its wire format as
// the node on the other side, which says what an honest one would not.
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { nativeBinary } from '../../runtime/native/binary.ts';
import { readCounts, type TunnelCounts } from '../../runtime/network/tunnel-pairs.ts';
import { NetworkLab } from './network-lab.ts';
import { until } from './until.ts';

export interface Key {
  readonly id: number;
  readonly secret: Buffer;
}

export const aKey = (id: number): Key => ({ id, secret: randomBytes(32) });

/** The native tunnel, alone: its link in a namespace of the lab, its UDP port on the loopback of the test's own. */
export class LoneTunnel implements AsyncDisposable {
  readonly child: ChildProcess;
  readonly port: number;
  readonly #line: Socket;
  readonly #lab: NetworkLab;
  readonly #directory: string;
  #text = '';

  private constructor(child: ChildProcess, port: number, line: Socket, lab: NetworkLab, directory: string) {
    this.child = child;
    this.port = port;
    this.#line = line;
    this.#lab = lab;
    this.#directory = directory;
    line.on('data', (chunk: Buffer) => {
      this.#text += String(chunk);
    });
    line.on('error', () => {});
  }

  static async start(): Promise<LoneTunnel> {
    const lab = await NetworkLab.open();
    const { namespace } = await lab.machine();
    const { path } = await nativeBinary(process.env['SHOAL_TEST_CACHE'] ?? '/tmp/shoal-native-cache');
    const directory = mkdtempSync(join(tmpdir(), 'shoal-tunnel-'));
    const socket = join(directory, 'tunnel.sock');
    const port = await freePort();
    const child = spawn(path, ['tunnel', socket, namespace, String(port), 'hash'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    assert.equal(String((await once(child.stdout, 'data'))[0]), 'ready\n');
    const line = connect(socket);
    const greeting = String((await once(line, 'data'))[0]);
    assert.equal(greeting, `tunnel 2 ${child.pid} ${port} hash ${statSync(namespace).ino}\n`);
    return new LoneTunnel(child, port, line, lab, directory);
  }

  /** What it answers, without the last `ok`. */
  async ask(...lines: string[]): Promise<string> {
    this.#text = '';
    this.#line.write(`${lines.join('\n')}\n`);
    await until('the tunnel answers', () => /(^|\n)ok\n$/.test(this.#text));
    return this.#text.replace(/ok\n$/, '');
  }

  async counts(tag: string): Promise<TunnelCounts> {
    const counts = readCounts((await this.ask('counts')).split('\n'));
    return counts.get(tag) ?? assert.fail(`no pair ${tag}`);
  }

  get socketPath(): string {
    return join(this.#directory, 'tunnel.sock');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#line.destroy();
    if (this.child.exitCode === null && this.child.signalCode === null) {
      this.child.kill('SIGKILL');
      await once(this.child, 'exit');
    }
    await this.#lab[Symbol.asyncDispose]();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

/** The other node of a pair: the tunnel has role 0, this one 1. */
export class TunnelPeer implements Disposable {
  readonly tag = randomBytes(8).toString('hex');
  readonly vni: number;
  readonly inner: string;
  readonly #socket: Datagrams;
  #session = randomBytes(16);
  #challenge = randomBytes(16);
  readonly #to: number;
  #theirs: Buffer | undefined;

  private constructor(socket: Datagrams, to: number, vni: number, inner: string) {
    this.#socket = socket;
    this.#to = to;
    this.vni = vni;
    this.inner = inner;
  }

  static async open(tunnel: LoneTunnel, vni = 7, inner = '10.1.2.3'): Promise<TunnelPeer> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new TunnelPeer(socket, tunnel.port, vni, inner);
  }

  /** The lines by which the tunnel knows of it. */
  lines(keys: readonly Key[], sendId = keys.at(-1)?.id): string[] {
    const { port } = this.#socket.address();
    return [
      `pair ${this.tag} ${this.vni} ${this.inner} 127.0.0.1 ${port} 0`,
      ...keys.map(({ id, secret }) => `key ${id} ${secret.toString('hex')}`),
      `send ${sendId}`,
    ];
  }

  /** What begins a session, and may be recorded. */
  greeting(key: Key): Buffer {
    return sealHello(key, this.tag, [this.#session, this.#challenge, Buffer.alloc(16)], true);
  }

  /** As a node whose tunnel was started anew. */
  restart(): void {
    this.#session = randomBytes(16);
    this.#challenge = randomBytes(16);
  }

  /** Greets until both know each other. */
  async shakeHands(key: Key): Promise<void> {
    const answers: Buffer[] = [];
    const take = (datagram: Buffer): void => {
      const hello = datagram[0] === 1 ? openHello(key, datagram) : undefined;
      if (hello?.subarray(32, 48).equals(this.#challenge)) answers.push(hello);
    };
    this.#socket.on('message', take);
    const greeting = setInterval(() => void this.send(this.greeting(key)), 200);
    await this.send(this.greeting(key));
    await until('the tunnel answers', () => answers.length > 0);
    clearInterval(greeting);
    const [answer = assert.fail('no answer')] = answers.splice(0);
    await this.send(sealHello(key, this.tag, [this.#session, this.#challenge, answer.subarray(16, 32)], true));
    await until('it knows the session', () => answers.length > 0);
    this.#theirs = Buffer.from(answer.subarray(0, 16));
    this.#socket.off('message', take);
  }

  /** A datagram with a frame, sealed as the node would. */
  frame(key: Key, counter: bigint, text = 'nobody reads this'): Buffer {
    const theirs = this.#theirs ?? assert.fail('no session yet');
    const datagram = Buffer.alloc(24);
    datagram.writeUInt8(2, 0);
    datagram.writeUIntBE(key.id, 1, 3);
    datagram.write(this.tag, 4, 'hex');
    theirs.copy(datagram, 12, 0, 4);
    datagram.writeBigUInt64BE(counter, 16);
    const vxlan = Buffer.alloc(8);
    vxlan.writeUInt8(8, 0);
    vxlan.writeUIntBE(this.vni, 4, 3);
    const data = derive(derive(wayFrom(key, 1), this.#session), theirs);
    const nonce = Buffer.concat([Buffer.alloc(4), datagram.subarray(16, 24)]);
    return Buffer.concat([datagram, seal(data, nonce, datagram, Buffer.concat([vxlan, Buffer.from(text)]))]);
  }

  async send(...datagrams: Buffer[]): Promise<void> {
    for (const datagram of datagrams) {
      await new Promise<void>((resolve, reject) => {
        this.#socket.send(datagram, this.#to, '127.0.0.1', (error) => (error ? reject(error) : resolve()));
      });
    }
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

async function freePort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

const HELLO_NAME = Buffer.from('shoal hello\0\0\0\0\0');

function wayFrom({ secret }: Key, role: 0 | 1): Buffer {
  const input = Buffer.alloc(16);
  input.write('shoal way');
  input.writeUInt8(role, 15);
  return derive(secret, input);
}

function sealHello(key: Key, tag: string, parts: readonly Buffer[], wantsAnswer: boolean): Buffer {
  const open = Buffer.alloc(12);
  open.writeUInt8(1, 0);
  open.writeUIntBE(key.id, 1, 3);
  open.write(tag, 4, 'hex');
  const nonce = randomBytes(24);
  const text = Buffer.concat([...parts, Buffer.from([wantsAnswer ? 1 : 0]), Buffer.alloc(7)]);
  const own = derive(derive(wayFrom(key, 1), HELLO_NAME), nonce.subarray(0, 16));
  return Buffer.concat([open, nonce, seal(own, Buffer.concat([Buffer.alloc(4), nonce.subarray(16)]), open, text)]);
}

/** Session, challenge and answer of the tunnel, 16 bytes each. */
function openHello(key: Key, datagram: Buffer): Buffer {
  const [open, nonce, sealed] = [datagram.subarray(0, 12), datagram.subarray(12, 36), datagram.subarray(36)];
  const own = derive(derive(wayFrom(key, 0), HELLO_NAME), nonce.subarray(0, 16));
  const short = Buffer.concat([Buffer.alloc(4), nonce.subarray(16)]);
  const cipher = createDecipheriv('chacha20-poly1305', own, short, { authTagLength: 16 });
  cipher.setAAD(open, { plaintextLength: sealed.length - 16 });
  cipher.setAuthTag(sealed.subarray(-16));
  return Buffer.concat([cipher.update(sealed.subarray(0, -16)), cipher.final()]);
}

function seal(key: Buffer, nonce: Buffer, open: Buffer, text: Buffer): Buffer {
  const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: 16 });
  cipher.setAAD(open, { plaintextLength: text.length });
  return Buffer.concat([cipher.update(text), cipher.final(), cipher.getAuthTag()]);
}

/** HChaCha20: of the block that the cipher makes of key and input, what is left when the input is taken out again. */
function derive(key: Buffer, input: Buffer): Buffer {
  const cipher = createCipheriv('chacha20', key, input);
  const block = cipher.update(Buffer.alloc(64));
  const constants = Buffer.from('expand 32-byte k');
  const word = (at: number): number =>
    at < 4
      ? block.readUInt32LE(at * 4) - constants.readUInt32LE(at * 4)
      : block.readUInt32LE(at * 4) - input.readUInt32LE((at - 12) * 4);
  const out = Buffer.alloc(32);
  for (let at = 0; at < 4; at += 1) {
    out.writeUInt32LE(word(at) >>> 0, at * 4);
    out.writeUInt32LE(word(12 + at) >>> 0, 16 + at * 4);
  }
  return out;
}
