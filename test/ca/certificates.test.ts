import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { connect } from 'node:net';
import { ChannelCredentials } from '@grpc/grpc-js';
import { enrol } from '../../agent/enrolment.ts';
import { systemClock } from '../../base/clock.ts';
import { codeOf } from '../../base/errors.ts';
import { newId } from '../../base/id.ts';
import { silentLog } from '../../base/log.ts';
import { ManualClock } from '../../base/manual-clock.ts';
import { systemRandom } from '../../base/random.ts';
import { createAuthority, parseRequest, signRequest } from '../../manager/ca/authority.ts';
import { Issuer } from '../../manager/ca/issuer.ts';
import { RateLimit } from '../../manager/ca/rate-limit.ts';
import { newCertificateRequest, newKeyPair } from '../../proto/certificate-request.ts';
import { identityOfPem } from '../../proto/identity.ts';
import { newJoinToken, parseJoinToken, rootDigest } from '../../proto/join-token.ts';
import { Channel } from '../../proto/rpc.ts';
import { CertificateRequests } from '../../proto/services.ts';
import { startTestManager } from '../support/test-manager.ts';

const means = { clock: systemClock, random: systemRandom };
const refusedWith = (code: string, words: RegExp) => (error: unknown) =>
  codeOf(error) === code && words.test((error as Error).message);

describe('join tokens', () => {
  it("have Docker's form and pin the root", async () => {
    const { rootPem } = await createAuthority(newId<'cluster'>(systemRandom), means);
    const token = newJoinToken(rootPem, systemRandom);
    assert.match(token, /^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/);
    assert.equal(parseJoinToken(token).rootDigest, rootDigest(rootPem));
  });

  for (const text of [
    '',
    'SWMTKN-1-abc-def',
    'SWMTKN-2-'.padEnd(85, 'a'),
    `SWMTKN-1-${'a'.repeat(50)}-${'B'.repeat(25)}`,
  ]) {
    it(`can not be '${text.slice(0, 20)}…'`, () => {
      assert.throws(() => parseJoinToken(text), refusedWith('invalid', /invalid join token/));
    });
  }
});

describe('a certificate', () => {
  it('names cluster, role and node, is backdated and lives as long as was said', async () => {
    const clusterId = newId<'cluster'>(systemRandom);
    const nodeId = newId<'node'>(systemRandom);
    const authority = await createAuthority(clusterId, means);
    const request = await parseRequest(await newCertificateRequest(await newKeyPair()));
    const pem = await signRequest(authority, request, { clusterId, nodeId, role: 'worker' }, 7_200_000, means);
    const { keyDigest, ...identity } = identityOfPem(pem);
    assert.deepEqual(identity, { clusterId, nodeId, role: 'worker' });
    assert.match(keyDigest, /^[0-9a-f]{64}$/);
    const certificate = new X509Certificate(pem);
    assert.ok(certificate.verify(new X509Certificate(authority.rootPem).publicKey));
    const lifeMs = Date.parse(certificate.validTo) - Date.parse(certificate.validFrom);
    assert.ok(Math.abs(lifeMs - 7_200_000 - 3_600_000) < 2_000, `${lifeMs}`);
    assert.equal(certificate.ca, false);
  });

  it('is not given for a request that was tampered with', async () => {
    const pem = await newCertificateRequest(await newKeyPair());
    const body = pem.split('\n').slice(1, -1).join('');
    const bytes = Buffer.from(body, 'base64');
    bytes[30] = (bytes[30] ?? 0) ^ 1;
    const broken = `-----BEGIN CERTIFICATE REQUEST-----\n${bytes.toString('base64')}\n-----END CERTIFICATE REQUEST-----`;
    await assert.rejects(parseRequest(broken), refusedWith('invalid', /certificate request/));
    await assert.rejects(parseRequest('hello'), refusedWith('invalid', /can not be read/));
  });
});

describe('the certificate listener', () => {
  it('gives the same node for the same key', async () => {
    await using manager = await startTestManager();
    const issuer = new Issuer({ store: manager.store, ...means, log: silentLog });
    const requestPem = await newCertificateRequest(await newKeyPair());
    const ask = { requestPem, token: manager.tokens.worker, availability: 'active' } as const;
    const [first, second] = [await issuer.issue(ask), await issuer.issue(ask)];
    assert.equal(first.nodeId, second.nodeId);
    assert.notEqual(first.certificatePem, second.certificatePem);
  });

  it('gives the role that the token is for', async () => {
    await using manager = await startTestManager();
    const join = async (token: string) => {
      const { material } = await enrol({ remoteAddresses: [manager.joinAddress], token, availability: 'drain' });
      return identityOfPem(material.certificatePem);
    };
    assert.equal((await join(manager.tokens.worker)).role, 'worker');
    const made = await join(manager.tokens.manager);
    assert.equal(made.role, 'manager');
    assert.equal(manager.store.view().nodes.get(made.nodeId)?.spec.availability, 'drain');
  });

  it('refuses a token with a wrong secret, and nothing is stored', async () => {
    await using manager = await startTestManager();
    const before = manager.store.view().version;
    const { rootDigest: digest } = parseJoinToken(manager.tokens.worker);
    const token = `SWMTKN-1-${digest}-${'0'.repeat(25)}`;
    await assert.rejects(
      enrol({ remoteAddresses: [manager.joinAddress], token, availability: 'active' }),
      refusedWith('forbidden', /A valid join token is necessary to join this cluster/),
    );
    assert.equal(manager.store.view().version, before);
  });

  it('is not believed by the holder of a token of another cluster', async () => {
    await using manager = await startTestManager();
    const other = await createAuthority(newId<'cluster'>(systemRandom), means);
    const token = newJoinToken(other.rootPem, systemRandom);
    await assert.rejects(
      enrol({ remoteAddresses: [manager.joinAddress], token, availability: 'active' }),
      refusedWith('invalid', /remote CA does not match fingerprint/),
    );
  });

  it('refuses a request over 64 KiB', async () => {
    await using manager = await startTestManager();
    const anybody = ChannelCredentials.createSsl(null, null, null, { rejectUnauthorized: false });
    using channel = new Channel(manager.joinAddress, anybody);
    const request = { requestPem: 'x'.repeat(70_000), token: manager.tokens.worker, availability: '' };
    await assert.rejects(
      channel.call(CertificateRequests.IssueCertificate, request, { withinMs: 2_000 }),
      refusedWith('exhausted', /larger than max/),
    );
  });

  it('says nothing in plain text', async () => {
    await using manager = await startTestManager();
    const [host = '', port = ''] = manager.joinAddress.split(':');
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(Number(port), host, () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString('latin1');
      });
      socket.on('close', () => resolve(text));
      socket.on('error', reject);
      socket.setTimeout(2_000, () => reject(new Error('the connection was kept')));
    });
    assert.doesNotMatch(answer, /HTTP/);
  });

  it('lets one address ask only so often', () => {
    const clock = new ManualClock();
    const limit = new RateLimit({ clock, each: { perSecond: 2, burst: 3 }, all: { perSecond: 100, burst: 100 } });
    assert.deepEqual(
      [1, 2, 3, 4].map(() => limit.admit('a')),
      [true, true, true, false],
    );
    assert.equal(limit.admit('b'), true);
    clock.advance(500);
    assert.deepEqual([limit.admit('a'), limit.admit('a')], [true, false]);
  });
});

describe('a renewed certificate', () => {
  it('replaces the key, and the former one stays good until the new one is used', async () => {
    await using manager = await startTestManager();
    const issuer = new Issuer({ store: manager.store, ...means, log: silentLog });
    const { identity } = await manager.worker();
    const renew = async (keyDigest: string) =>
      identityOfPem(
        (
          await issuer.renew({
            requestPem: await newCertificateRequest(await newKeyPair()),
            nodeId: identity.nodeId,
            keyDigest,
          })
        ).certificatePem,
      ).keyDigest;
    const lost = await renew(identity.keyDigest); // its answer never arrives
    const next = await renew(identity.keyDigest);
    const node = manager.store.view().nodes.get(identity.nodeId);
    assert.deepEqual([node?.certificateKeyDigest, node?.previousCertificateKeyDigest], [next, identity.keyDigest]);
    await assert.rejects(renew(lost), refusedWith('forbidden', /has been replaced/));
  });

  it('carries the role that the operator wants now', async () => {
    await using manager = await startTestManager();
    const issuer = new Issuer({ store: manager.store, ...means, log: silentLog });
    const { identity } = await manager.worker();
    await manager.store.update((tx) => {
      const node = tx.nodes.get(identity.nodeId);
      if (node) tx.nodes.put({ ...node, spec: { ...node.spec, role: 'manager' } });
    });
    const requestPem = await newCertificateRequest(await newKeyPair());
    const issued = await issuer.renew({ requestPem, nodeId: identity.nodeId, keyDigest: identity.keyDigest });
    assert.equal(identityOfPem(issued.certificatePem).role, 'manager');
  });
});
