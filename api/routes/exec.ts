// /exec and /containers/{id}/exec: further processes in a running container.
import { fail } from '../../base/errors.ts';
import type { ExecConfig, ExecInfo } from '../../runtime/container/contract.ts';
import { joinStdio } from '../attached-stdio.ts';
import { consoleSizeOf } from '../convert/container-config.ts';
import { Fields } from '../convert/fields.ts';
import { parseDetachKeys } from '../detach-keys.ts';
import type { ApiDeps } from '../deps.ts';
import { empty, hijack, json } from '../reply.ts';
import type { Routes } from '../routes.ts';
import type { ExecInspect } from '../types/container.ts';
import { stdioType } from './container-streams.ts';
import { sizeOf } from './containers.ts';

export function addExecRoutes(router: Routes, { runtime, clock }: ApiDeps): void {
  const { containers } = runtime;

  router.add('POST', '/containers/{id}/exec', async (request) => {
    const config = parseExec(new Fields(await request.json()));
    return json(201, { Id: await containers.execCreate(request.param('id'), config) });
  });

  router.add('POST', '/exec/{id}/start', async (request) => {
    const body = new Fields(await request.jsonOrEmpty());
    const { id, config } = containers.execGet(request.param('id'));
    const terminal = body.flag('Tty');
    const detach = body.flag('Detach');
    const stdio = await containers.execStart(id, { ...consoleSizeOf(body), detach });
    if (!stdio) return empty(200);
    const { stdin } = config;
    const isTerminal = terminal || config.terminal;
    const detachKeys = parseDetachKeys(config.detachKeys);
    const options = { terminal: isTerminal, raw: isTerminal, stdin, closesStdin: true, detachKeys, clock };
    return hijack(
      stdioType(request, isTerminal),
      (connection) => joinStdio(connection, stdio, options),
      () => stdio.detach(),
    );
  });

  router.add('POST', '/exec/{id}/resize', async (request) => {
    await containers.execResize(request.param('id'), sizeOf(request));
    return empty(200);
  });

  router.add('GET', '/exec/{id}/json', async (request) =>
    json(200, execInspect(containers.execGet(request.param('id')))),
  );
}

function parseExec(body: Fields): ExecConfig {
  const args = body.wordsOrAbsent('Cmd') ?? [];
  if (args.length === 0) fail('invalid', 'No exec command specified');
  const detachKeys = body.text('DetachKeys');
  parseDetachKeys(detachKeys);
  return {
    args,
    env: body.texts('Env'),
    workingDirectory: body.text('WorkingDir'),
    user: body.text('User'),
    terminal: body.flag('Tty'),
    privileged: body.flag('Privileged'),
    stdin: body.flag('AttachStdin'),
    stdout: body.flag('AttachStdout'),
    stderr: body.flag('AttachStderr'),
    detachKeys,
  };
}

function execInspect({ id, containerId, config, running, exitCode, pid }: ExecInfo): ExecInspect {
  const [entrypoint = '', ...args] = config.args;
  const { terminal: tty, privileged, user } = config;
  return {
    ID: id,
    Running: running,
    ExitCode: running ? null : (exitCode ?? null),
    ProcessConfig: { tty, entrypoint, arguments: args, privileged, ...(user === '' ? {} : { user }) },
    OpenStdin: config.stdin,
    OpenStdout: config.stdout,
    OpenStderr: config.stderr,
    CanRemove: false,
    ContainerID: containerId,
    DetachKeys: config.detachKeys,
    Pid: pid,
  };
}
