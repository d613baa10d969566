import type { Query } from '../../../../src/standby/primary/session.ts';

/** A server with slots, as it answers our questions about them. */
export interface FakeServer {
  started: string;
  /** The names of its slots, and whether they are in use. */
  readonly slots: Map<string, boolean>;
  readonly query: Query;
}

export function fakeServer(started: string, slots: Readonly<Record<string, boolean>> = {}): FakeServer {
  const server: FakeServer = {
    started,
    slots: new Map(Object.entries(slots)),
    query: (sql) => {
      if (sql.includes('pg_postmaster_start_time')) return Promise.resolve([[server.started]]);
      const named = /'(pitrtools_for_[^']+)'/.exec(sql)?.[1] ?? '';
      if (sql.includes('pg_create_physical')) server.slots.set(named, false);
      else if (sql.includes('pg_drop_replication_slot')) {
        if (server.slots.get(named) === false) server.slots.delete(named);
      } else if (sql.includes('may_make'))
        return Promise.resolve([['postgres', 'true', '10', 'replica', '1000', '1']]);
      else
        return Promise.resolve(
          [...server.slots].map(([name, isActive]) => [
            name,
            'physical',
            String(isActive),
            '',
            'reserved',
            '0',
          ]),
        );
      return Promise.resolve([]);
    },
  };
  return server;
}
