/**
 * Settings that our own sessions depend on, whatever the role, the database and the server set. The last statement
 * skips names that the release does not have; the statements before it must not need a snapshot, which a serializable
 * session on a hot standby does not get.
 */

/** Known to every release. `statement_timeout` in milliseconds; 0 for none. */
function everywhere(statementTimeoutMs: number): readonly string[] {
  return [
    'SET search_path TO pg_catalog',
    "SET default_transaction_isolation TO 'read committed'",
    'SET default_transaction_read_only TO off',
    `SET statement_timeout TO ${statementTimeoutMs}`,
  ];
}

const whereKnown: Readonly<Record<string, string>> = {
  idle_session_timeout: '0',
  idle_in_transaction_session_timeout: '0',
  transaction_timeout: '0',
  lock_timeout: '0',
  default_transaction_deferrable: 'off',
  default_tablespace: '',
  default_table_access_method: 'heap',
  standard_conforming_strings: 'on',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  bytea_output: 'hex',
  lc_messages: 'C',
};

/** A role that cannot change a setting keeps it. Among these settings, that is possible only for the language of messages. */
function setWhereKnown(encoding: string): string {
  const rows = Object.entries(whereKnown).map(([name, value]) => `('${name}', '${value}')`);
  return (
    'SELECT set_config(s.name, w.value, false) FROM ' +
    `(VALUES ${rows.join(', ')}, ('client_encoding', ${encoding})) AS w (name, value) ` +
    "JOIN pg_settings AS s ON s.name = w.name WHERE s.context = 'user' OR current_setting('is_superuser') = 'on'"
  );
}

/**
 * Statements for the beginning of a session, one at a time.
 *
 * @param encoding of the server's answers: the database's own, which needs no conversion, or UTF-8
 */
export function sessionStatements(
  statementTimeoutMs: number,
  encoding: 'database' | 'utf8' = 'database',
): readonly string[] {
  const value = encoding === 'utf8' ? "'UTF8'" : "current_setting('server_encoding')";
  return [...everywhere(statementTimeoutMs), setWhereKnown(value)];
}
