// The dashboard's page: a column for each node, a box for each task, and the services with + and −.
import { render } from 'preact';
import { useEffect, useReducer, useRef, useState } from 'preact/hooks';
import { type Connection, connect } from './feed.ts';
import { Columns } from './columns.tsx';
import { Services } from './services.tsx';
import { apply, EMPTY } from './state.ts';

function Page() {
  const [state, dispatch] = useReducer(apply, EMPTY);
  const [open, setOpen] = useState(false);
  const connection = useRef<Connection | null>(null);
  useEffect(() => {
    connection.current = connect(dispatch, setOpen);
  }, []);
  const notice = open
    ? state.trouble
    : state.known
      ? 'The connection to this manager is lost. Trying again …'
      : 'Connecting …';
  return (
    <>
      <header>
        <h1>Shoal</h1>
        <p class="notice" role="status">
          {notice}
        </p>
      </header>
      <Services state={state} scale={(service, by) => connection.current?.send({ type: 'scale', service, by })} />
      <Columns state={state} />
    </>
  );
}

const root = document.getElementById('page');
if (root) render(<Page />, root);
