import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { tlsInfo } from '../../api/convert/cluster.ts';
import { TestAuthority } from '../raft/support.ts';

describe('what is said of the cluster root', () => {
  it('is its subject and key, in base64 of their DER', async () => {
    const { rootsPem } = await (await TestAuthority.create()).issue('x', { clusterId: 'y' });
    const info = tlsInfo(rootsPem);
    assert.equal(info.TrustRoot, rootsPem.join(''));
    const subject = Buffer.from(info.CertIssuerSubject, 'base64');
    assert.equal(subject[0], 0x30);
    assert.equal(subject.length, 2 + (subject[1] ?? 0));
    assert.match(subject.toString('latin1'), /test root$/);
    const key = new X509Certificate(rootsPem[0] ?? '').publicKey.export({ type: 'spki', format: 'der' });
    assert.equal(info.CertIssuerPublicKey, key.toString('base64'));
  });

  it('is empty while there is none', () => assert.equal(tlsInfo([]).TrustRoot, ''));
});
