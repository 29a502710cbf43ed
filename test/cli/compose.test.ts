import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { convertService, parsePorts } from '../../cli/compose/convert.ts';
import { loadCompose } from '../../cli/compose/load.ts';

const load = (text: string, env: Record<string, string> = {}) => loadCompose(text, 'compose.yaml', env);
const networks = new Map([['default', 'bridge']]);

describe('a compose file', () => {
  it('becomes a service: the demo stack', () => {
    const path = join(import.meta.dirname, '../../../deploy/demo/stack.yaml');
    const { services } = load(readFileSync(path, 'utf8'));
    const spec = convertService('demo', 'web', services['web'] ?? {}, networks);
    assert.equal(spec.Name, 'demo_web');
    assert.deepEqual(spec.Mode, { Replicated: { Replicas: 3 } });
    assert.deepEqual(spec.EndpointSpec?.Ports, [
      { Protocol: 'tcp', TargetPort: 80, PublishedPort: 8080, PublishMode: 'ingress' },
    ]);
    assert.deepEqual(spec.TaskTemplate.ContainerSpec['Healthcheck'], {
      Test: ['CMD', '/server', '--health'],
      Interval: 5e9,
      Timeout: 2e9,
      StartPeriod: 10e9,
      StartInterval: 1e8,
      Retries: 3,
    });
    assert.deepEqual(spec.TaskTemplate.Networks, [{ Target: 'bridge', Aliases: ['web'] }]);
    assert.equal(spec.Labels?.['com.docker.stack.namespace'], 'demo');
  });

  it('takes variables from the environment', () => {
    const text = 'services: {a: {image: "${IMAGE:-none}:$TAG", command: "echo $$HOME"}}';
    const { services } = load(text, { TAG: '2' });
    assert.deepEqual(services['a'], { image: 'none:2', command: 'echo $HOME' });
  });

  for (const [what, text, words] of [
    [
      'an unknown key, with its place and a guess',
      'services:\n  a:\n    image: x\n    replica: 3\n    imag: y\n',
      /compose\.yaml:4:5: .*'replica'/,
    ],
    ['a misspelt key', 'services:\n  a:\n    imgae: x\n', /compose\.yaml:3:5: .*did you mean image\?/],
    ['broken YAML', 'services: [', /compose\.yaml:\d+:\d+:/],
    ['a key given twice', 'services:\n  a: {image: x}\n  a: {image: y}\n', /compose\.yaml:3:3/],
    ['a required variable', 'services: {a: {image: "${X:?set X}"}}', /variable X is required: set X/],
    ['secrets, which are not there yet', 'services: {}\nsecrets: {a: {external: true}}', /not supported yet/],
  ] as const) {
    it(`is refused for ${what}`, () => assert.throws(() => load(text), words));
  }

  for (const [what, service, words] of [
    ['no image', {}, /needs an image/],
    ['replicas in global mode', { image: 'x', deploy: { mode: 'global', replicas: 2 } }, /replicated mode/],
    ['negative replicas', { image: 'x', deploy: { replicas: -1 } }, /replicas must be at least 0/],
    ['a bad duration', { image: 'x', stop_grace_period: 'soon' }, /services\.a\.stop_grace_period/],
    ['a bad port', { image: 'x', ports: ['eighty'] }, /is not a port/],
    ['an undeclared network', { image: 'x', networks: ['back'] }, /'back' is not declared/],
  ] as const) {
    it(`is refused for ${what}`, () => assert.throws(() => convertService('s', 'a', service, networks), words));
  }
});

describe('ports of a compose file', () => {
  for (const [text, expected] of [
    ['8080:80', [[8080, 80, 'tcp']]],
    ['80', [[0, 80, 'tcp']]],
    ['53:5353/udp', [[53, 5353, 'udp']]],
    ['127.0.0.1:1:2', [[1, 2, 'tcp']]],
    [
      '8000-8001:80-81',
      [
        [8000, 80, 'tcp'],
        [8001, 81, 'tcp'],
      ],
    ],
  ] as const) {
    it(`reads ${text}`, () => {
      const ports = parsePorts(text, 'ports').map((port) => [port.PublishedPort, port.TargetPort, port.Protocol]);
      assert.deepEqual(ports, expected);
    });
  }
  for (const text of ['8000-8001:80', '1:2-1', ':', '70000-1:1']) {
    it(`refuses ${text}`, () => assert.throws(() => parsePorts(text, 'ports'), /is not a port/));
  }
});
