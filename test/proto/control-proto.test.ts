// proto/control.proto and proto/control.ts name the same methods.
import { strict as assert } from 'node:assert';
import { fileURLToPath } from 'node:url';
import { loadSync } from '@grpc/proto-loader';
import { CONTROL_METHODS } from '../../proto/control.ts';

const PROTO = fileURLToPath(new URL('../../../proto/control.proto', import.meta.url));

describe('control.proto', () => {
  const service = loadSync(PROTO)['shoal.control.v1.Control'] as Record<string, { responseStream: boolean }>;

  it('has one method for each name in ControlMethods', () => {
    assert.deepEqual(Object.keys(service).sort(), Object.keys(CONTROL_METHODS).sort());
  });

  it('streams nothing', () => {
    const streamed = Object.keys(service).filter((name) => service[name]?.responseStream);
    assert.deepEqual(streamed, []);
  });
});
