import { host, port } from './verbs/arguments.ts';

/** `port`: undefined if the address names none. */
export interface HostAddress {
  readonly host: string;
  readonly port: number | undefined;
}

/** HOST or HOST:PORT; an IPv6 address with a port is written in brackets. */
export function parseAddress(text: string): HostAddress | undefined {
  const match = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? /^([^:]+)(?::(\d+))?$/.exec(text) ?? [text, text];
  const [, name = '', digits] = match;
  const parsed = host.parse(name);
  const parsedPort = digits === undefined ? undefined : port.parse(digits);
  if (parsed === undefined || (digits !== undefined && parsedPort === undefined)) return undefined;
  return { host: parsed, port: parsedPort };
}

export function addressText({ host: name, port: number }: HostAddress): string {
  if (number === undefined) return name;
  return name.includes(':') ? `[${name}]:${number}` : `${name}:${number}`;
}
