// The shapes that older clients get, and versions that nobody speaks.
import { ended, type Row, removed, row, running, SLEEP } from '../rows.ts';

const old = (version: string): Row => ({
  ...row(
    `shapes of ${version}`,
    running('aged', {
      ExposedPorts: { '80/tcp': {} },
      HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '8083' }] }, Binds: ['agedvol:/v'] },
    }),
    ended('aged2', 'echo x'),
    'GET /containers/json?all=1',
    'GET /containers/aged/json',
    'GET /containers/aged/stats?stream=0',
    'GET /containers/aged/top',
    'GET /containers/aged2/logs?stdout=1',
    { at: 'POST /containers/aged/exec', json: { Cmd: ['echo', 'x'], AttachStdout: true }, keep: 'exec' },
    { at: 'POST /exec/{exec}/start', json: {} },
    'GET /exec/{exec}/json',
    'GET /images/json',
    { at: 'GET /images/json?filter=bb', values: /RepoTags/ },
    { at: 'GET /images/json?filter=nosuch', values: /RepoTags/ },
    'GET /images/bb/json',
    'GET /images/bb/history',
    'GET /networks/bridge',
    { at: 'GET /networks?filters={"name":["^host$"]}', values: /Name|Driver/ },
    'GET /volumes',
    'GET /volumes/agedvol',
    'GET /info',
    'GET /version',
    'GET /system/df',
    'POST /containers/aged2/wait',
    { at: 'POST /containers/create?name=aged3', json: { ...SLEEP, HostConfig: { AutoRemove: true } } },
    { at: 'GET /containers/aged3/json', values: /^\.HostConfig\.(AutoRemove|IpcMode|CgroupnsMode)$/ },
    'POST /containers/aged/stop?t=0&signal=NOPE',
    removed('aged', 'aged2', 'aged3'),
    'DELETE /volumes/agedvol',
  ),
  version,
});

const unknown = (version: string): Row => ({
  ...row(`version ${version}`, 'GET /containers/json', 'GET /_ping'),
  version,
});

export const VERSION_ROWS: readonly Row[] = [
  ...['1.24', '1.30', '1.39', '1.40'].map(old),
  ...['9.99', '1.0'].map(unknown),
];
