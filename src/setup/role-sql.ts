/** The role by which a host streams from the primary. Pure. */
import { sqlIdentifier, sqlLiteral } from '../postgres/quoting.ts';
import { replicationGroup } from './hba-block.ts';

/** One role for each host: its password is in the INI file of that host alone. */
export function roleOf(hostName: string): string {
  return `${replicationGroup}_${hostName.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_')}`.slice(0, 63);
}

export interface RoleState {
  readonly hasGroup: boolean;
  /** Undefined if there is no such role. */
  readonly role:
    { readonly canReplicate: boolean; readonly isMember: boolean; readonly verifier: string } | undefined;
}

/** One row: whether the group exists, then the role's facts, empty if there is none. Only a superuser may ask. */
export function roleStateSql(role: string): string {
  const [group, name] = [sqlLiteral(replicationGroup), sqlLiteral(role)];
  const isMember = `EXISTS (SELECT 1 FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_authid AS g ON g.oid = m.roleid WHERE m.member = a.oid AND g.rolname = ${group})`;
  return `SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_authid WHERE rolname = ${group})::text AS has_group, a.rolname::text AS name, (a.rolcanlogin AND a.rolreplication)::text AS can_replicate, (${isMember})::text AS is_member, coalesce(a.rolpassword, '') AS verifier FROM (SELECT 1) AS one LEFT JOIN pg_catalog.pg_authid AS a ON a.rolname = ${name}`;
}

/** The fields of that row, as text. */
export function readRoleState(fields: readonly string[]): RoleState {
  const [hasGroup, name = '', canReplicate, isMember, verifier = ''] = fields;
  const isTrue = (text: string | undefined) => text === 'true' || text === 't';
  return {
    hasGroup: isTrue(hasGroup),
    role:
      name === '' ? undefined : { canReplicate: isTrue(canReplicate), isMember: isTrue(isMember), verifier },
  };
}

/** @param verifier the password in the form in which the server stores it: the statement may be logged there */
export function makeRoleSql(role: string, state: RoleState, verifier: string): readonly string[] {
  const [group, name] = [sqlIdentifier(replicationGroup), sqlIdentifier(role)];
  const groupSql = state.hasGroup ? [] : [`CREATE ROLE ${group} NOLOGIN`];
  const options = `LOGIN REPLICATION PASSWORD ${sqlLiteral(verifier)}`;
  if (state.role === undefined) return [...groupSql, `CREATE ROLE ${name} ${options} IN ROLE ${group}`];
  const member = state.role.isMember ? [] : [`GRANT ${group} TO ${name}`];
  return [...groupSql, `ALTER ROLE ${name} ${options}`, ...member];
}
