// Mutual TLS between managers: certificates that can be replaced while connections are open, and whom one proves to be.
import type { PeerCertificate } from 'node:tls';
import { type ChannelCredentials, credentials, experimental, type ServerCredentials } from '@grpc/grpc-js';
import type { CertificateMaterial } from './contract.ts';
import type { MemberId } from './core/types.ts';

type Provider = NonNullable<Parameters<typeof experimental.createCertificateProviderServerCredentials>[1]>;
type RootsListener = Parameters<Provider['addCaCertificateListener']>[0];
type IdentityListener = Parameters<Provider['addIdentityCertificateListener']>[0];

const MANAGER = 'shoal-manager';

/** Certificates for new connections in both directions. Open ones live on with what they were begun with. */
export class PeerCredentials {
  #material: CertificateMaterial;
  readonly #clusterId: string;
  readonly #roots = new Set<RootsListener>();
  readonly #identities = new Set<IdentityListener>();

  constructor(clusterId: string, material: CertificateMaterial) {
    this.#clusterId = clusterId;
    this.#material = material;
  }

  replace(material: CertificateMaterial): void {
    this.#material = material;
    for (const listener of this.#roots) listener(rootsOf(material));
    for (const listener of this.#identities) listener(identityOf(material));
  }

  /** For the listener; `replace` reaches it without its sockets being closed. */
  forServer(): ServerCredentials {
    // A listener is told only after it was added, as gRPC expects of a provider that reads its files first.
    const provider: Provider = {
      addCaCertificateListener: (listener) => {
        this.#roots.add(listener);
        queueMicrotask(() => listener(rootsOf(this.#material)));
      },
      removeCaCertificateListener: (listener) => void this.#roots.delete(listener),
      addIdentityCertificateListener: (listener) => {
        this.#identities.add(listener);
        queueMicrotask(() => listener(identityOf(this.#material)));
      },
      removeIdentityCertificateListener: (listener) => void this.#identities.delete(listener),
    };
    return experimental.createCertificateProviderServerCredentials(provider, provider, true);
  }

  /** For one connection to this member: whoever answers must prove to be that manager of this cluster. */
  forPeer(id: MemberId): ChannelCredentials {
    const { certificatePem, keyPem, rootsPem } = this.#material;
    return credentials.createSsl(Buffer.from(rootsPem.join('\n')), Buffer.from(keyPem), Buffer.from(certificatePem), {
      checkServerIdentity: (_host, certificate) => {
        const peer = managerOf(certificate, this.#clusterId);
        return peer === id
          ? undefined
          : new Error(`its certificate is that of ${peer ?? 'no manager of this cluster'}`);
      },
    });
  }
}

/** The node id in a verified certificate of a manager of this cluster; undefined for any other. */
export function managerOf(certificate: Pick<PeerCertificate, 'subject'>, clusterId: string): MemberId | undefined {
  const { CN, OU, O } = certificate.subject;
  return OU === MANAGER && O === clusterId && typeof CN === 'string' && CN !== '' ? CN : undefined;
}

const rootsOf = ({ rootsPem }: CertificateMaterial) => ({ caCertificate: Buffer.from(rootsPem.join('\n')) });
const identityOf = ({ certificatePem, keyPem }: CertificateMaterial) => ({
  certificate: Buffer.from(certificatePem),
  privateKey: Buffer.from(keyPem),
});
