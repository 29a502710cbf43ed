// shoal run|ps|logs|exec
import type { Command } from 'commander';
import { fail } from '../../base/errors.ts';
import { parseBytes } from '../../base/units.ts';
import type { CommandContext } from '../context.ts';
import { ago } from '../human.ts';
import { readFrames } from '../stdio-frames.ts';
import { shortened, table } from '../table.ts';
import { joinTerminal, write } from '../terminal.ts';
import type { ContainerJson } from '../wire.ts';

const collect = (value: string, list: string[]): string[] => [...list, value];

interface RunFlags {
  readonly detach: boolean;
  readonly interactive: boolean;
  readonly tty: boolean;
  readonly rm: boolean;
  readonly name?: string;
  readonly env: string[];
  readonly publish: string[];
  readonly volume: string[];
  readonly network?: string;
  readonly memory?: string;
  readonly cpus?: string;
  readonly entrypoint?: string;
  readonly workdir?: string;
  readonly user?: string;
}

export function addContainerCommands(program: Command, context: () => CommandContext): void {
  program
    .command('run')
    .description('run a command in a new container')
    .argument('<image>')
    .argument('[command...]')
    .passThroughOptions()
    .option('-d, --detach', 'in the background; prints the id', false)
    .option('-i, --interactive', 'keep standard input open', false)
    .option('-t, --tty', 'with a terminal', false)
    .option('--rm', 'remove it when it ends', false)
    .option('--name <name>')
    .option('-e, --env <NAME=value>', 'environment', collect, [])
    .option('-p, --publish <port>', 'publish a port', collect, [])
    .option('-v, --volume <source:target>', 'mount', collect, [])
    .option('--network <name>')
    .option('-m, --memory <bytes>')
    .option('--cpus <number>')
    .option('--entrypoint <command>')
    .option('-w, --workdir <path>')
    .option('-u, --user <user>')
    .action((image: string, command: string[], flags: RunFlags) => run(context(), image, command, flags));
  program
    .command('ps')
    .description('list containers')
    .option('-a, --all', 'also those that do not run', false)
    .option('-q, --quiet', 'ids only', false)
    .action((flags: { all: boolean; quiet: boolean }) => list(context(), flags));
  program
    .command('logs')
    .description('output of a container')
    .argument('<container>')
    .option('-f, --follow', 'go on with new output', false)
    .option('-n, --tail <lines>', 'lines from the end', 'all')
    .option('-t, --timestamps', 'with times', false)
    .action((id: string, flags: { follow: boolean; tail: string; timestamps: boolean }) => logs(context(), id, flags));
  program
    .command('exec')
    .description('run a command in a running container')
    .argument('<container>')
    .argument('<command...>')
    .passThroughOptions()
    .option('-i, --interactive', 'keep standard input open', false)
    .option('-t, --tty', 'with a terminal', false)
    .option('-e, --env <NAME=value>', 'environment', collect, [])
    .option('-w, --workdir <path>')
    .option('-u, --user <user>')
    .action((id: string, command: string[], flags: RunFlags) => exec(context(), id, command, flags));
}

async function run(context: CommandContext, image: string, command: readonly string[], flags: RunFlags): Promise<void> {
  const { engine } = context;
  const { Id, Warnings } = await engine.json<{ Id: string; Warnings: string[] }>('/containers/create', {
    method: 'POST',
    query: { name: flags.name },
    json: createBody(image, command, flags),
  });
  for (const warning of Warnings) context.warn(`WARNING: ${warning}`);
  if (flags.detach) {
    await engine.json(`/containers/${Id}/start`, { method: 'POST' });
    return context.print(Id);
  }
  const stream = await engine.hijack(`/containers/${Id}/attach`, {
    query: { stream: '1', stdout: '1', stderr: '1', stdin: flags.interactive ? '1' : '0' },
  });
  // Its head comes at once, so the wait is in place before the start; its body comes with the end.
  const ended = await engine.stream(`/containers/${Id}/wait`, {
    method: 'POST',
    query: { condition: flags.rm ? 'removed' : 'next-exit' },
  });
  await engine.json(`/containers/${Id}/start`, { method: 'POST' });
  const resize = (size: { rows: number; columns: number }): Promise<void> =>
    engine.json(`/containers/${Id}/resize`, {
      method: 'POST',
      query: { h: String(size.rows), w: String(size.columns) },
    });
  await joinTerminal(stream, { stdin: flags.interactive, terminal: flags.tty, resize });
  const chunks: Buffer[] = [];
  for await (const chunk of ended) chunks.push(chunk as Buffer);
  context.exitWith((JSON.parse(Buffer.concat(chunks).toString('utf8')) as { StatusCode: number }).StatusCode);
}

function createBody(image: string, command: readonly string[], flags: RunFlags): object {
  const ports = flags.publish.map(parsePublish);
  return {
    Image: image,
    Cmd: command.length > 0 ? command : undefined,
    Entrypoint: flags.entrypoint === undefined ? undefined : [flags.entrypoint],
    Env: flags.env,
    WorkingDir: flags.workdir ?? '',
    User: flags.user ?? '',
    Tty: flags.tty,
    OpenStdin: flags.interactive,
    StdinOnce: flags.interactive,
    AttachStdin: flags.interactive && !flags.detach,
    AttachStdout: !flags.detach,
    AttachStderr: !flags.detach,
    ExposedPorts: Object.fromEntries(ports.map(({ target }) => [target, {}])),
    HostConfig: {
      AutoRemove: flags.rm,
      Binds: flags.volume,
      NetworkMode: flags.network ?? 'default',
      Memory: flags.memory ? parseBytes(flags.memory) : 0,
      NanoCpus: flags.cpus ? Math.round(Number(flags.cpus) * 1e9) : 0,
      PortBindings: Object.fromEntries(
        ports.map(({ target, host, port }) => [target, [{ HostIp: host, HostPort: port }]]),
      ),
    },
  };
}

function parsePublish(text: string): { target: string; host: string; port: string } {
  const match = /^(?:(?:([\d.]+):)?(\d*):)?(\d+)(?:\/(tcp|udp))?$/.exec(text);
  if (!match) fail('invalid', `--publish '${text}' must be like 8080:80, 127.0.0.1:8080:80 or 80/udp`);
  return { target: `${match[3]}/${match[4] ?? 'tcp'}`, host: match[1] ?? '', port: match[2] ?? '' };
}

async function list(context: CommandContext, flags: { all: boolean; quiet: boolean }): Promise<void> {
  const containers = await context.engine.json<ContainerJson[]>('/containers/json', {
    query: { all: flags.all ? '1' : '0' },
  });
  if (flags.quiet) return context.print(containers.map(({ Id }) => Id.slice(0, 12)).join('\n'));
  const rows = containers.map((container) => [
    container.Id.slice(0, 12),
    container.Image,
    `"${shortened(container.Command, 20)}"`,
    ago(container.Created, context.nowMs()),
    container.Status,
    container.Ports.map(({ IP, PublicPort, PrivatePort, Type }) =>
      PublicPort ? `${IP}:${PublicPort}->${PrivatePort}/${Type}` : `${PrivatePort}/${Type}`,
    ).join(', '),
    container.Names.map((name) => name.slice(1)).join(','),
  ]);
  context.print(table(['CONTAINER ID', 'IMAGE', 'COMMAND', 'CREATED', 'STATUS', 'PORTS', 'NAMES'], rows));
}

async function logs(
  context: CommandContext,
  id: string,
  flags: { follow: boolean; tail: string; timestamps: boolean },
): Promise<void> {
  const { Config } = await context.engine.json<{ Config: { Tty: boolean } }>(`/containers/${id}/json`);
  const query = {
    stdout: '1',
    stderr: '1',
    follow: flags.follow ? '1' : '0',
    tail: flags.tail,
    timestamps: flags.timestamps ? '1' : '0',
  };
  const response = await context.engine.stream(`/containers/${id}/logs`, { query });
  if (Config.Tty) {
    for await (const chunk of response) await write(process.stdout, chunk as Buffer);
    return;
  }
  for await (const { stream, bytes } of readFrames(response as AsyncIterable<Buffer>))
    await write(process[stream], bytes);
}

async function exec(context: CommandContext, id: string, command: readonly string[], flags: RunFlags): Promise<void> {
  const { engine } = context;
  const { Id } = await engine.json<{ Id: string }>(`/containers/${id}/exec`, {
    method: 'POST',
    json: {
      Cmd: command,
      Env: flags.env,
      WorkingDir: flags.workdir ?? '',
      User: flags.user ?? '',
      Tty: flags.tty,
      AttachStdin: flags.interactive,
      AttachStdout: true,
      AttachStderr: true,
    },
  });
  const stream = await engine.hijack(`/exec/${Id}/start`, { json: { Detach: false, Tty: flags.tty } });
  const resize = (size: { rows: number; columns: number }): Promise<void> =>
    engine.json(`/exec/${Id}/resize`, { method: 'POST', query: { h: String(size.rows), w: String(size.columns) } });
  await joinTerminal(stream, { stdin: flags.interactive, terminal: flags.tty, resize });
  const { ExitCode } = await engine.json<{ ExitCode: number | null }>(`/exec/${Id}/json`);
  context.exitWith(ExitCode ?? 0);
}
