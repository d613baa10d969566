/** The parameters of the server on a drill's copy, which no file can override: it must reach nobody. Pure. */
import type { Capabilities } from '../../postgres/capabilities.ts';

/** A socket needs no port, but its name has one. */
const drillPort = 65_432;

/** Where the copy's server finds and writes what is its own. */
export interface OwnPlaces {
  readonly pgdata: string;
  readonly sockets: string;
  /** `shared_preload_libraries`. */
  readonly preload: string | undefined;
}

function everywhere({ pgdata, sockets, preload = '' }: OwnPlaces): Readonly<Record<string, string>> {
  return {
    data_directory: pgdata,
    hba_file: `${pgdata}/pg_hba.conf`,
    ident_file: `${pgdata}/pg_ident.conf`,
    external_pid_file: '',
    listen_addresses: '',
    port: String(drillPort),
    unix_socket_directory: sockets,
    unix_socket_directories: sockets,
    unix_socket_permissions: '0700',
    unix_socket_group: '',
    ssl: 'off',
    // The log is the file that pg_ctl appends to.
    logging_collector: 'off',
    log_destination: 'stderr',
    lc_messages: 'C',
    // Another directory could be the one that the standby uses, too.
    stats_temp_directory: 'pg_stat_tmp',
    // The standby may need all of them.
    huge_pages: 'off',
    archive_mode: 'off',
    archive_command: '',
    archive_library: '',
    shared_preload_libraries: preload,
    session_preload_libraries: '',
    local_preload_libraries: '',
    max_logical_replication_workers: '0',
    sync_replication_slots: 'off',
    synchronous_standby_names: '',
    // A trigger on login runs with our own questions.
    event_triggers: 'off',
    autovacuum: 'off',
    primary_conninfo: '',
    primary_slot_name: '',
    recovery_end_command: '',
    archive_cleanup_command: '',
    recovery_min_apply_delay: '0',
    promote_trigger_file: '',
  };
}

export function drillParameters(
  { isolatingParameters }: Pick<Capabilities, 'isolatingParameters'>,
  places: OwnPlaces,
): ReadonlyMap<string, string> {
  return new Map(Object.entries(everywhere(places)).filter(([name]) => isolatingParameters.has(name)));
}
