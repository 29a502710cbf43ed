// The services: what they are, how many tasks they want and have, and buttons for one more and one fewer.
import type { ServiceView } from '../api/types/dashboard-feed.ts';
import { type ClusterState, hueOf, isWanted } from './state.ts';

export function Services({ state, scale }: { state: ClusterState; scale: (service: string, by: 1 | -1) => void }) {
  const services = [...state.services.values()].toSorted((a, b) => a.name.localeCompare(b.name));
  const running = (service: ServiceView): number =>
    [...state.tasks.values()].filter(
      (task) => task.serviceId === service.id && isWanted(task) && task.state === 'running',
    ).length;
  return (
    <nav class="services">
      {services.map((service) => (
        <section
          key={service.id}
          class="service"
          data-service={service.name}
          style={{ '--hue': String(hueOf(service.name)) }}
        >
          <h3>{service.name}</h3>
          <p>
            {service.image} {service.ports.join(', ')}
          </p>
          <p class="count">
            {service.replicas !== 'global' && (
              <button type="button" aria-label={`one ${service.name} fewer`} onClick={() => scale(service.id, -1)}>
                −
              </button>
            )}
            <output>
              {running(service)} of {service.replicas === 'global' ? 'every node' : service.replicas}
            </output>
            {service.replicas !== 'global' && (
              <button type="button" aria-label={`one ${service.name} more`} onClick={() => scale(service.id, 1)}>
                +
              </button>
            )}
          </p>
          {service.update && <p class={`update ${service.update}`}>{service.update}</p>}
        </section>
      ))}
    </nav>
  );
}
