// dockerode, as programs in JavaScript and testcontainers use it, through one life on one engine: each step says what
// it was given, or with which status and words it failed.
import { createRequire } from 'node:module';
import { PassThrough } from 'node:stream';
import { normal } from './facts.ts';
import type { Views } from './raw.ts';
import { tarOf } from './tar-of.ts';

// What of dockerode is used here; it brings no types.
type Readable = NodeJS.ReadableStream;
type Duplex = NodeJS.ReadWriteStream;
type Json = Readonly<Record<string, unknown>>;

interface Exec {
  start(options: object): Promise<Duplex>;
  inspect(): Promise<Json>;
  resize(options: object): Promise<unknown>;
}

interface Container {
  readonly id: string;
  inspect(): Promise<{ Name: string; State: Json; Config: Json; NetworkSettings: Json }>;
  start(): Promise<unknown>;
  stop(options?: object): Promise<unknown>;
  restart(options?: object): Promise<unknown>;
  kill(options?: object): Promise<unknown>;
  pause(): Promise<unknown>;
  unpause(): Promise<unknown>;
  rename(options: object): Promise<unknown>;
  update(options: object): Promise<unknown>;
  remove(options?: object): Promise<unknown>;
  wait(options?: object): Promise<Json>;
  attach(options: object): Promise<Duplex>;
  logs(options: { follow: true; stdout?: boolean; stderr?: boolean }): Promise<Readable>;
  exec(options: object): Promise<Exec>;
  top(): Promise<{ Titles: string[] }>;
  stats(options: object): Promise<Json>;
  changes(): Promise<{ Path: string; Kind: number }[] | null>;
  commit(options: object): Promise<Json>;
  export(): Promise<Readable>;
  putArchive(archive: Readable | Uint8Array, options: object): Promise<unknown>;
  getArchive(options: object): Promise<Readable>;
  infoArchive(options: object): Promise<unknown>;
}

interface Named {
  inspect(): Promise<Json>;
  remove(options?: object): Promise<unknown>;
}

interface Image extends Named {
  tag(options: object): Promise<unknown>;
  history(): Promise<Json[]>;
  get(): Promise<Readable>;
}

interface Network extends Named {
  readonly id: string;
  connect(options: object): Promise<unknown>;
  disconnect(options: object): Promise<unknown>;
}

interface Dockerode {
  readonly modem: {
    demuxStream(stream: Readable, stdout: PassThrough, stderr: PassThrough): void;
    followProgress(stream: Readable, done: (error: Error | null, lines: Json[]) => void): void;
  };
  ping(): Promise<unknown>;
  version(): Promise<Json>;
  info(): Promise<Json>;
  df(): Promise<Json>;
  run(image: string, command: readonly string[], output: PassThrough, options: object): Promise<[Json, Container]>;
  pull(name: string): Promise<Readable>;
  buildImage(archive: Readable | Uint8Array, options: object): Promise<Readable>;
  loadImage(archive: Readable | Uint8Array): Promise<Readable>;
  importImage(archive: Readable | Uint8Array, options: object): Promise<Readable>;
  getEvents(options: object): Promise<Readable>;
  createContainer(options: object): Promise<Container>;
  getContainer(id: string): Container;
  listContainers(options: object): Promise<Json[]>;
  getImage(name: string): Image;
  listImages(options?: object): Promise<Json[]>;
  createVolume(options: object): Promise<Named & { name: string }>;
  getVolume(name: string): Named;
  listVolumes(options: object): Promise<{ Volumes: Json[] }>;
  createNetwork(options: object): Promise<Network>;
  getNetwork(id: string): Network;
  listNetworks(options: object): Promise<Json[]>;
  pruneContainers(options: object): Promise<Json>;
  pruneImages(options: object): Promise<Json>;
  pruneNetworks(options: object): Promise<Json>;
  pruneVolumes(options: object): Promise<Json>;
}

const Client = createRequire(import.meta.url)('dockerode') as new (options: object) => Dockerode;

type Steps = readonly (readonly [name: string, work: () => Promise<unknown>])[];

export async function dockerode(socketPath: string): Promise<Views> {
  const docker = new Client({ socketPath });
  const views = new Map<string, readonly string[]>();
  for (const [name, work] of [...(await lifeOf(docker)), ...objectsOf(docker)]) views.set(name, await outcome(work));
  return views;
}

async function outcome(work: () => Promise<unknown>): Promise<string[]> {
  try {
    return [normal(JSON.stringify(await work()) ?? 'nothing')];
  } catch (error) {
    const { statusCode, json } = Object(error) as { statusCode?: number; json?: { message?: string } };
    if (statusCode === undefined) return [`fails: ${normal(String(error))}`];
    return [`status ${statusCode}`, `message ${normal(json?.message ?? String(error))}`];
  }
}

async function lifeOf(docker: Dockerode): Promise<Steps> {
  const box = await docker.createContainer({
    Image: 'bb',
    name: 'rode',
    Cmd: ['cat'],
    OpenStdin: true,
    StdinOnce: true,
    Labels: { kind: 'rode' },
    ExposedPorts: { '80/tcp': {} },
    HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '8085' }] }, Binds: ['rodevol:/v'] },
  });
  const busy = await docker.createContainer({ Image: 'bb', name: 'rode2', Cmd: ['sleep', '1000'] });
  const run = (command: string, more: object = {}) => ran(docker, busy, { Cmd: ['sh', '-c', command], ...more });
  return [
    ['attach with input, and half-close', () => talk(docker, box)],
    ['wait', () => box.wait()],
    ['inspect', async () => picked((await box.inspect()).State, ['Status', 'ExitCode', 'Running', 'OOMKilled'])],
    [
      'logs, followed to the end',
      async () => text(docker, await box.logs({ follow: true, stdout: true, stderr: true })),
    ],
    ['start', () => busy.start()],
    ['start again', () => busy.start()],
    ['exec', () => run('echo out; echo err >&2; exit 3')],
    [
      'exec with environment and user',
      () => run('echo $A; id -u; pwd', { Env: ['A=1'], User: '7', WorkingDir: '/tmp' }),
    ],
    ['exec with input', () => fed(docker, busy)],
    ['exec of nothing', () => busy.exec({ Cmd: [] })],
    [
      'put archive',
      async () => (await busy.putArchive(Buffer.from(tarOf({ put: 'data' })), { path: '/tmp' })) !== null,
    ],
    ['get archive', async () => (await bytes(await busy.getArchive({ path: '/tmp/put' }))).subarray(0, 3).toString()],
    ['get archive of nothing', () => busy.getArchive({ path: '/nowhere' })],
    ['top', async () => (await busy.top()).Titles],
    ['stats', async () => Object.keys(await busy.stats({ stream: false })).includes('cpu_stats')],
    ['changes', async () => (await busy.changes())?.map(({ Path }) => Path).sort()],
    ['pause', () => busy.pause()],
    ['exec while paused', () => busy.exec({ Cmd: ['true'] }).then(() => 'went')],
    ['unpause', () => busy.unpause()],
    ['rename', () => busy.rename({ name: 'rode3' })],
    ['update', async () => Object.keys(Object(await busy.update({ Memory: 67_108_864, MemorySwap: -1 })))],
    ['remove while it runs', () => busy.remove().catch((error: { statusCode: number }) => error.statusCode)],
    ['restart', () => busy.restart({ t: 0 })],
    ['kill', () => busy.kill({ signal: 'SIGTERM' })],
    ['stop', () => busy.stop({ t: 0 })],
    ['stop again', () => busy.stop()],
    ['wait for a stopped one', () => busy.wait()],
    ['commit', async () => Object.keys(await busy.commit({ repo: 'rode', tag: '1' }))],
    ['export', async () => (await bytes(await busy.export())).length % 512],
    [
      'list',
      async () =>
        (await docker.listContainers({ all: true, filters: { label: ['kind=rode'] } })).map(({ Names, State }) => [
          Names,
          State,
        ]),
    ],
    ['events', () => told(docker, busy.id)],
    ['remove', () => box.remove({ v: true, force: true })],
    ['remove the other', () => busy.remove()],
    ['remove again', () => busy.remove()],
    ['inspect of nobody', () => docker.getContainer('nobody').inspect()],
    ['prune', async () => (await docker.pruneContainers({ filters: { label: ['kind=rode'] } }))['SpaceReclaimed']],
  ];
}

function objectsOf(docker: Dockerode): Steps {
  let network: Network | undefined;
  return [
    ['ping', async () => String(await docker.ping())],
    ['version', async () => picked(await docker.version(), ['Os', 'Arch'])],
    ['info', async () => picked(await docker.info(), ['OSType', 'Containers', 'LoggingDriver', 'NCPU'])],
    [
      'df',
      async () =>
        Object.keys(await docker.df())
          .filter((key) => key !== 'BuilderSize')
          .sort(),
    ],
    ['run', () => together(docker, ['sh', '-c', 'echo hi; exit 4'])],
    [
      'run of nothing',
      () => together(docker, ['nosuchprogram']).catch((error: { statusCode: number }) => error.statusCode),
    ],
    ['create without an image', () => docker.createContainer({ Image: 'nosuch', Cmd: ['x'] })],
    ['tag', async () => (await docker.getImage('bb').tag({ repo: 'rode', tag: '2' })) !== undefined],
    [
      'images',
      async () => (await docker.listImages({ filters: { reference: ['rode:2'] } })).map(({ RepoTags }) => RepoTags),
    ],
    ['inspect of an image', async () => picked(await docker.getImage('bb').inspect(), ['Os', 'RepoTags'])],
    ['history', async () => (await docker.getImage('bb').history()).map(({ Comment }) => Comment)],
    [
      'save and load',
      async () => progress(docker, await docker.loadImage(await bytes(await docker.getImage('rode:2').get()))),
    ],
    [
      'import',
      async () =>
        (await progress(docker, await docker.importImage(Buffer.from(tarOf({ x: 'y' })), { repo: 'rode', tag: '3' })))
          .length,
    ],
    ['remove an image', () => docker.getImage('rode:2').remove()],
    ['remove it again', () => docker.getImage('rode:2').remove()],
    [
      'remove the others',
      async () => [await docker.getImage('rode:1').remove(), await docker.getImage('rode:3').remove()].length,
    ],
    ['pull of nothing', async () => progress(docker, await docker.pull('127.0.0.1:1/nosuch:1'))],
    [
      'build',
      async () =>
        docker.buildImage(Buffer.from(tarOf({ Dockerfile: 'FROM bb\n' })), { t: 'rode:4' }).then(() => 'builds'),
    ],
    ['create a volume', async () => (await docker.createVolume({ Name: 'rodevol2', Labels: { a: 'b' } })).name],
    [
      'inspect a volume',
      async () => picked(await docker.getVolume('rodevol2').inspect(), ['Name', 'Driver', 'Labels', 'Scope']),
    ],
    ['volumes', async () => (await docker.listVolumes({ filters: { name: ['rodevol2'] } })).Volumes.length],
    ['remove a volume', () => docker.getVolume('rodevol2').remove()],
    ['remove it once more', () => docker.getVolume('rodevol2').remove()],
    [
      'create a network',
      async () => (
        (network = await docker.createNetwork({ Name: 'rodenet', CheckDuplicate: true })), network.id.length
      ),
    ],
    ['create it again', () => docker.createNetwork({ Name: 'rodenet', CheckDuplicate: true })],
    [
      'networks',
      async () =>
        (await docker.listNetworks({ filters: { name: ['rodenet'] } })).map(({ Driver, Scope }) => [Driver, Scope]),
    ],
    ['connect and disconnect', () => moved(docker, network)],
    ['remove a network', () => docker.getNetwork('rodenet').remove()],
    ['inspect it', () => docker.getNetwork('rodenet').inspect()],
    ['prune images', async () => Object.keys(await docker.pruneImages({ filters: { dangling: { true: true } } }))],
    ['prune networks', async () => Object.keys(await docker.pruneNetworks({ filters: { label: ['nobodys'] } }))],
    ['prune volumes', async () => Object.keys(await docker.pruneVolumes({ filters: { label: ['nobodys'] } }))],
  ];
}

const picked = (value: Json, keys: readonly string[]): unknown => keys.map((key) => value[key]);

async function bytes(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

/** Both streams of a framed one, in full. */
async function text(docker: Dockerode, stream: Readable): Promise<string[]> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  docker.modem.demuxStream(stream, stdout, stderr);
  const over = (): void => void [stdout.end(), stderr.end()];
  stream.on('end', over).on('close', over);
  return [(await bytes(stdout)).toString(), (await bytes(stderr)).toString()];
}

const progress = (docker: Dockerode, stream: Readable): Promise<Json[]> =>
  new Promise((resolve, reject) =>
    docker.modem.followProgress(stream, (error, lines) => (error ? reject(error) : resolve(lines))),
  );

async function talk(docker: Dockerode, box: Container): Promise<string[]> {
  const stream = await box.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
  const said = text(docker, stream);
  await box.start();
  stream.end('typed\n');
  return await said;
}

async function ran(docker: Dockerode, box: Container, options: object): Promise<unknown> {
  const exec = await box.exec({ AttachStdout: true, AttachStderr: true, ...options });
  const said = await text(docker, await exec.start({}));
  return [said, picked(await exec.inspect(), ['ExitCode', 'Running'])];
}

async function fed(docker: Dockerode, box: Container): Promise<unknown> {
  const exec = await box.exec({ Cmd: ['cat'], AttachStdin: true, AttachStdout: true, AttachStderr: true });
  const stream = await exec.start({ hijack: true, stdin: true });
  const said = text(docker, stream);
  stream.end('fed');
  return await said;
}

async function together(docker: Dockerode, command: readonly string[]): Promise<unknown> {
  const output = new PassThrough();
  const [result, box] = await docker.run('bb', command, output, { Tty: true });
  await box.remove();
  output.end();
  return [picked(result, ['StatusCode']), (await bytes(output)).toString()];
}

async function told(docker: Dockerode, container: string): Promise<string[]> {
  const until = (Date.now() + 2) / 1000;
  const stream = await docker.getEvents({
    since: 0,
    until,
    filters: { container: [container], event: ['create', 'start', 'rename', 'die'] },
  });
  const lines = (await bytes(stream))
    .toString()
    .split('\n')
    .filter((line) => line !== '');
  return lines.map((line) => (JSON.parse(line) as { Action: string }).Action);
}

async function moved(docker: Dockerode, network: Network | undefined): Promise<unknown> {
  const box = await docker.createContainer({ Image: 'bb', name: 'rode4', Cmd: ['sleep', '1000'] });
  await box.start();
  await network?.connect({ Container: box.id, EndpointConfig: { Aliases: ['aka'] } });
  const during = Object.keys(Object((await box.inspect()).NetworkSettings['Networks'])).sort();
  const refused = await network?.remove().catch((error: { statusCode: number }) => error.statusCode);
  await network?.disconnect({ Container: box.id });
  const after = Object.keys(Object((await box.inspect()).NetworkSettings['Networks']));
  await box.remove({ force: true, v: true });
  return [during, refused, after];
}
