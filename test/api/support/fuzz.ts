// Sends every route malformed and extreme input and says what was answered wrongly: a 5xx that nobody chose, an error
// without a sentence, a connection that hangs. Seeded: a failing run can be had again.
import { createConnection } from 'node:net';
import { seededRandom } from '../../../base/random.ts';

export interface FuzzRoute {
  readonly method: string;
  readonly pattern: string;
}

export interface FuzzOptions {
  readonly socketPath: string;
  readonly routes: readonly FuzzRoute[];
  readonly perRoute: number;
  readonly seed: number;
  /** Names of things that are there. */
  readonly known: readonly string[];
}

export interface Offence {
  readonly request: string;
  readonly answer: string;
}

type Random = ReturnType<typeof seededRandom>;

const CHOSEN_5XX = new Set([501, 503]);
const ANSWER_MS = 10_000;
/** A stream that has begun is left after so much silence: that is the early disconnect of the test. */
const QUIET_MS = 15;
const AT_ONCE = 8;
const LEAVES_EARLY_ONE_IN = 16;
const OVERSIZE_ONE_IN = 2_000;
const OVERSIZE_BYTES = 9 * 1024 * 1024; // more than any body of JSON may have

const QUERY_NAMES =
  'all limit size filters since until signal t h w path stdout stderr follow tail timestamps details stream one-shot v force link condition name repo tag comment author pause changes fromImage fromSrc type noprune noOverwriteDirNonDir copyUIDGID detachKeys stdin logs ps_args version registryAuthFrom rollback rotateWorkerToken insertDefaults names term platform quiet scope verbose'.split(
    ' ',
  );

const WEIRD_TEXTS = [
  '',
  ' ',
  '0',
  '-1',
  '1e400',
  '99999999999999999999',
  'NaN',
  'true',
  'null',
  '[]',
  '{}',
  '{"a":',
  '{"label":{"a":true}}',
  '{"status":["nope"]}',
  '{"until":["x"]}',
  '../../etc/passwd',
  '%00',
  '%',
  '\u0000',
  '💥'.repeat(50),
  'a'.repeat(5_000),
  "'; drop table --",
  'ctrl-é',
  '2006-99-99T00:00:00Z',
  '(((((',
];

/** Keys that some body has somewhere, so that nonsense reaches the parsers behind them. */
const BODY_KEYS =
  'Image Cmd Entrypoint Env Labels HostConfig NetworkingConfig Healthcheck ExposedPorts Volumes User WorkingDir Tty Binds Mounts Memory NanoCpus PortBindings RestartPolicy CapAdd Devices Ulimits Sysctls LogConfig SecurityOpt Tmpfs ShmSize PidsLimit ConsoleSize DeviceCgroupRules BlkioDeviceReadBps MaskedPaths ExtraHosts Dns AttachStdin Detach DetachKeys Privileged Name Driver DriverOpts Options IPAM EndpointsConfig TaskTemplate ContainerSpec Mode Replicated Replicas UpdateConfig EndpointSpec Ports ListenAddr AdvertiseAddr RemoteAddrs JoinToken Spec Availability Role Data Container Type Source Target TmpfsOptions VolumeOptions BindOptions Test Interval Test Target'.split(
    ' ',
  );

export async function fuzz(options: FuzzOptions): Promise<{ sent: number; offences: Offence[] }> {
  const random = seededRandom(options.seed);
  const offences: Offence[] = [];
  const work = options.routes.flatMap((route) => Array.from({ length: options.perRoute }, () => route));
  let sent = 0;
  const queue = work.values();
  const worker = async (): Promise<void> => {
    for (const route of queue) {
      const request = requestFor(route, random, options.known);
      const answer = await (random.below(LEAVES_EARLY_ONE_IN) === 0
        ? leave(options.socketPath, request, random)
        : exchange(options.socketPath, request, random));
      const wrong = judge(answer);
      sent += 1;
      if (wrong) offences.push({ request: request.slice(0, 600).toString('latin1'), answer: wrong });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return { sent, offences };
}

const pick = <T>(random: Random, list: readonly T[]): T => list[random.below(list.length)] as T;

function requestFor({ method, pattern }: FuzzRoute, random: Random, known: readonly string[]): Buffer {
  const parameter = (): string => encodeURIComponent(pick(random, random.below(3) === 0 ? WEIRD_TEXTS : known)) || 'x';
  const path = pattern.replaceAll(/\{\w+(\.\.\.)?\}/g, () => parameter());
  const names = Array.from({ length: random.below(4) }, () => pick(random, QUERY_NAMES));
  const query = names.map((name) => `${name}=${encodeURIComponent(pick(random, WEIRD_TEXTS))}`).join('&');
  const version = pick(random, ['', '/v1.51', '/v1.24', '/v1.41', '/v9.99', '/v0.1']);
  const body = bodyFor(method, random);
  const framing = framingFor(body, random);
  const upgrade = random.below(6) === 0 ? 'Connection: Upgrade\r\nUpgrade: tcp\r\n' : 'Connection: close\r\n';
  const type = pick(random, ['application/json', 'application/json', 'text/plain', 'application/x-tar', 'nonsense']);
  const extra = pick(random, EXTRA_HEADERS);
  const head = `${method} ${version}${path}?${query} HTTP/1.1\r\nHost: d\r\n${upgrade}${extra}Content-Type: ${type}\r\n`;
  return Buffer.concat([Buffer.from(head), framing]);
}

const NONE = Array.from({ length: 12 }, () => '');
const EXTRA_HEADERS = [
  ...NONE,
  'Expect: 100-continue\r\n',
  'X-Registry-Auth: !!!\r\n',
  'X-Registry-Auth: eyJ1c2VybmFtZSI6NX0=\r\n',
  `X-Long: ${'x'.repeat(20_000)}\r\n`,
];

/** Mostly right, sometimes shorter or longer than promised, or chunked and broken. */
function framingFor(body: Buffer, random: Random): Buffer {
  const hex = body.length.toString(16);
  switch (random.below(12)) {
    case 0:
      return Buffer.concat([
        Buffer.from(`Transfer-Encoding: chunked\r\n\r\n${hex}\r\n`),
        body,
        Buffer.from('\r\nzz\r\n'),
      ]);
    case 1:
      return Buffer.concat([Buffer.from(`Content-Length: ${body.length + 10}\r\n\r\n`), body]);
    case 2:
      return Buffer.concat([Buffer.from('Content-Length: -4\r\n\r\n'), body]);
    case 3:
      return Buffer.concat([
        Buffer.from(`Transfer-Encoding: chunked\r\n\r\n${hex}\r\n`),
        body,
        Buffer.from('\r\n0\r\n\r\n'),
      ]);
    case 4:
      return Buffer.concat([Buffer.from('Content-Length: 99999999999999\r\n\r\n'), body]);
    default:
      return Buffer.concat([Buffer.from(`Content-Length: ${body.length}\r\n\r\n`), body]);
  }
}

function bodyFor(method: string, random: Random): Buffer {
  if (method === 'GET' || method === 'HEAD' || method === 'DELETE') return Buffer.alloc(0);
  if (random.below(OVERSIZE_ONE_IN) === 0) return Buffer.alloc(OVERSIZE_BYTES, '{"Image":"x"} ');
  switch (random.below(10)) {
    case 0:
      return Buffer.alloc(0);
    case 1:
      return Buffer.from(pick(random, WEIRD_TEXTS));
    case 2:
      return Buffer.from(random.bytes(random.below(400)));
    case 3:
      return Buffer.from(`${'['.repeat(20_000)}${']'.repeat(20_000)}`);
    case 4:
      return Buffer.concat([Buffer.from('{"Image":"'), Buffer.from([0xff, 0xfe, 0xc3]), Buffer.from('"}')]);
    case 5:
      return Buffer.from(`{"Image":"busybox","Env":["${'x'.repeat(100_000)}"]}`);
    default:
      return Buffer.from(JSON.stringify({ Image: 'busybox', Name: 'fuzz', ...objectOf(random, 3) }));
  }
}

function objectOf(random: Random, depth: number): Record<string, unknown> {
  return Object.fromEntries(
    Array.from({ length: 1 + random.below(4) }, () => [pick(random, BODY_KEYS), valueOf(random, depth - 1)]),
  );
}

function valueOf(random: Random, depth: number): unknown {
  switch (random.below(depth > 0 ? 9 : 6)) {
    case 0:
      return pick(random, WEIRD_TEXTS);
    case 1:
      return pick(random, [0, -1, 1.5, 2 ** 53, -(2 ** 60), 1e308, 65_536]);
    case 2:
      return pick(random, [true, false, null]);
    case 3:
      return [];
    case 4:
      return {};
    case 5:
      return pick(random, ['bridge', 'host', 'container:nobody', 'rw', 'unless-stopped', '80/tcp', 'a:/b:ro', 'CMD']);
    case 6:
      return Array.from({ length: random.below(4) }, () => valueOf(random, depth - 1));
    default:
      return objectOf(random, depth);
  }
}

/** Goes away before the answer, or in the middle of it, as a client does that was interrupted. Nothing is left to judge. */
function leave(socketPath: string, request: Buffer, random: Random): Promise<Buffer> {
  return new Promise((resolve) => {
    const socket = createConnection({ path: socketPath });
    const said = random.below(2) === 0 ? request : request.subarray(0, random.below(request.length));
    const goes = () => socket.destroy();
    socket.on('error', goes);
    socket.on('close', () => resolve(Buffer.alloc(0)));
    socket.write(said, random.below(2) === 0 ? goes : undefined);
    socket.on('data', goes);
    setTimeout(goes, QUIET_MS);
  });
}

/** The whole answer, or what came before it went quiet; 'hung' if nothing came at all. */
function exchange(socketPath: string, request: Buffer, random: Random): Promise<Buffer | 'hung'> {
  return new Promise((resolve) => {
    const socket = createConnection({ path: socketPath, allowHalfOpen: true });
    let received = Buffer.alloc(0);
    let quiet: NodeJS.Timeout | undefined;
    const finish = (result: Buffer | 'hung'): void => {
      clearTimeout(deadline);
      clearTimeout(quiet);
      socket.destroy();
      resolve(result);
    };
    const deadline = setTimeout(() => finish(received.length > 0 ? received : 'hung'), ANSWER_MS);
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      clearTimeout(quiet);
      quiet = setTimeout(() => finish(received), QUIET_MS);
    });
    socket.on('error', () => finish(received));
    socket.on('end', () => finish(received));
    socket.write(request);
    // Somebody who has said all may end his direction, or not.
    if (random.below(2) === 0 || !/\r\nContent-Length: \d+\r\n/.test(request.toString('latin1'))) socket.end();
    else setTimeout(() => socket.end(), QUIET_MS);
  });
}

/** What is wrong with an answer; undefined: nothing. A connection that a broken request ended without one is fine. */
function judge(answer: Buffer | 'hung'): string | undefined {
  if (answer === 'hung') return 'no answer';
  if (answer.length === 0) return undefined;
  const text = answer.toString('utf8').replace(/^HTTP\/1\.1 100 Continue\r\n\r\n/, '');
  if (text === '') return undefined;
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1] ?? 0);
  if (status === 0) return `no HTTP answer: ${text.slice(0, 200)}`;
  // Docker has a few 500s of its own, which clients know; ours for what went wrong in here carry the code 'internal'.
  const isChosen = CHOSEN_5XX.has(status) || /^Shoal-Error: (?!internal)/im.test(text);
  if (status >= 500 && !isChosen) return text.slice(0, 800);
  if (status < 400) return undefined;
  const body = text.slice(text.indexOf('\r\n\r\n') + 4);
  const isHead = body === '';
  if (!isHead && !/"message":"(?:[^"\\]|\\.){3,}"/.test(body))
    return `an error without a sentence: ${text.slice(0, 400)}`;
  return undefined;
}
