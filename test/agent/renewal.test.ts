import assert from 'node:assert/strict';
import { CertificateRenewal, renewalDueMs } from '../../agent/certificate-renewal.ts';
import { Remotes } from '../../agent/remotes.ts';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { seededRandom } from '../../base/random.ts';
import type { CertificateMaterial } from '../../proto/identity.ts';
import { FakeExecutor } from '../support/fake-executor.ts';
import { startTestManager } from '../support/test-manager.ts';
import { until } from '../support/until.ts';

describe('certificate renewal', () => {
  it('falls between half and four fifths of the certificate’s life', async () => {
    await using manager = await startTestManager();
    const pem = (await manager.worker()).material.certificatePem;
    const [early, late] = [renewalDueMs(pem, 0), renewalDueMs(pem, 1)];
    const lifeMs = 2 * 3_600_000; // backdated by one hour, good for another
    assert.ok(Math.abs(late - early - lifeMs * 0.3) < 2_000);
    assert.ok(Math.abs(early - Date.now()) < 10_000);
  });

  it('replaces the material in place: the session goes on, and the next one uses the new key', async () => {
    await using manager = await startTestManager();
    const executor = new FakeExecutor();
    const first = await manager.agent(executor);
    const { credentials, nodeId } = first;
    await until('it is connected', () => first.agent.state.connectedTo !== undefined);
    const before = credentials.identity.keyDigest;
    const saved: CertificateMaterial[] = [];
    const random = seededRandom(1);
    const renewal = new CertificateRenewal({
      credentials,
      remotes: new Remotes({ random, addresses: [manager.controlAddress] }),
      clock: systemClock,
      random,
      log: silentLog,
      save: async (material) => void saved.push(material),
    });
    const abort = new AbortController();
    const running = renewal.run(abort.signal).catch(() => undefined);
    renewal.renewNow();
    await until('it is renewed', () => credentials.identity.keyDigest !== before);
    assert.equal(saved[0]?.certificatePem, credentials.material.certificatePem);
    assert.notEqual(first.agent.state.connectedTo, undefined);
    const node = () => manager.store.view().nodes.get(nodeId);
    assert.deepEqual(
      [node()?.certificateKeyDigest, node()?.previousCertificateKeyDigest],
      [credentials.identity.keyDigest, before],
    );
    await first.agent.stop();
    await manager.agent(executor, first);
    await until('the old key is forgotten', () => node()?.previousCertificateKeyDigest === undefined);
    abort.abort();
    await running;
  });
});
