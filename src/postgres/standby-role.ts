/** The role by which a host streams from the primary; `--setup` makes it. Pure. */
import type { Capabilities } from './capabilities.ts';
import { sqlLiteral } from './quoting.ts';

/** Every role that --setup makes is a member of this one. */
export const replicationGroup = 'pitrtools';

/** One role for each host: its password is in the INI file of that host alone. */
export function roleOf(hostName: string): string {
  return `${replicationGroup}_${hostName.toLowerCase().replaceAll(/[^a-z0-9]+/g, '_')}`.slice(0, 63);
}

export function isStandbyRole(name: string): boolean {
  return /^pitrtools_[a-z0-9_]{1,53}$/.test(name);
}

/** A password as the server stores it. It has no quote, and nothing that could end the text of makeRoleSql. */
export function isVerifier(text: string): boolean {
  const base64 = '[A-Za-z0-9+/]{1,100}={0,2}';
  return new RegExp(`^(?:md5[0-9a-f]{32}|SCRAM-SHA-256\\$\\d{1,7}:${base64}\\$${base64}:${base64})$`).test(
    text,
  );
}

export interface RoleState {
  /** Undefined if there is no such role. */
  readonly role:
    { readonly canReplicate: boolean; readonly isMember: boolean; readonly verifier: string } | undefined;
}

/** One row: the facts of the role, empty if there is none. Only a superuser may ask. */
export function roleStateSql(role: string): string {
  const [group, name] = [sqlLiteral(replicationGroup), sqlLiteral(role)];
  const isMember = `EXISTS (SELECT 1 FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_authid AS g ON g.oid = m.roleid WHERE m.member = a.oid AND g.rolname = ${group})`;
  return `SELECT a.rolname::text AS name, (a.rolcanlogin AND a.rolreplication)::text AS can_replicate, (${isMember})::text AS is_member, coalesce(a.rolpassword, '') AS verifier FROM (SELECT 1) AS one LEFT JOIN pg_catalog.pg_authid AS a ON a.rolname = ${name}`;
}

/** The fields of that row, as text. */
export function readRoleState(fields: readonly string[]): RoleState {
  const [name = '', canReplicate, isMember, verifier = ''] = fields;
  const isTrue = (text: string | undefined) => text === 'true' || text === 't';
  return {
    role:
      name === '' ? undefined : { canReplicate: isTrue(canReplicate), isMember: isTrue(isMember), verifier },
  };
}

/**
 * Makes the role, or gives it another password. A role of that name that can do more than those that are made here is
 * refused: a key that may ask for this must not get its rights. Each argument stands in the text once (statements.ts).
 * @param verifier the password in the form in which the server stores it: the statement may be logged there
 */
export function makeRoleSql(role: string, verifier: string): string {
  const group = sqlLiteral(replicationGroup);
  const membership =
    'EXISTS (SELECT 1 FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_authid AS g ON g.oid = m.roleid WHERE m.member = a.oid AND g.rolname';
  const canMore = `a.rolsuper OR a.rolcreaterole OR a.rolcreatedb OR ${membership} <> ${group})`;
  const found = (name: string, more: string) =>
    `EXISTS (SELECT 1 FROM pg_catalog.pg_authid AS a WHERE a.rolname = ${name}${more})`;
  const isOther = found('the_role', ` AND (${canMore} OR NOT ${membership} = ${group}))`);
  const isOtherGroup = found(group, ` AND (${canMore})`);
  const run = (...parts: readonly string[]) => `EXECUTE ${parts.join(' || ')}; `;
  const ident = 'pg_catalog.quote_ident(the_role)';
  return (
    `DO $pitrtools$ DECLARE the_role text DEFAULT ${sqlLiteral(role)}; the_password text DEFAULT ${sqlLiteral(verifier)}; BEGIN ` +
    `IF ${isOther} OR ${isOtherGroup} THEN RAISE EXCEPTION 'the role % or ${replicationGroup} can do more than stream: it was not made by pitrtools --setup', the_role; END IF; ` +
    `IF NOT ${found(group, '')} THEN CREATE ROLE ${replicationGroup} NOLOGIN; END IF; ` +
    `IF NOT ${found('the_role', '')} THEN ${run("'CREATE ROLE '", ident, `' IN ROLE ${replicationGroup}'`)}END IF; ` +
    run("'ALTER ROLE '", ident, "' LOGIN REPLICATION PASSWORD '", 'pg_catalog.quote_literal(the_password)') +
    `END $pitrtools$`
  );
}

/** @throws before 9.1, which has no roles that only replicate */
export function requireReplicationRoles({ hasReplicationRoles, version }: Capabilities): void {
  if (!hasReplicationRoles) throw new Error(`PostgreSQL ${version.major} has no roles that only replicate`);
}
