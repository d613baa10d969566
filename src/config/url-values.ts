import { splitList } from './path-values.ts';
import { value, type ValueResult, wrong } from './value-result.ts';

/** The address of a web service: a scheme, a host and a port, without a path or a login. @returns it as `http://host:port` */
export function readUrl(text: string): ValueResult<string> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['http:', 'https:'].includes(url.protocol))
    return wrong(`"${text}" is not a URL such as http://127.0.0.1:8008`);
  if (url.username !== '' || url.password !== '')
    return wrong('the URL holds a login: Patroni answers these questions without one');
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '')
    return wrong(`"${text}" has a path: only scheme, host and port are given`);
  return value(url.origin);
}

/** Several of them, separated by commas. */
export function readUrls(text: string): ValueResult<readonly string[]> {
  const urls: string[] = [];
  const messages: string[] = [];
  for (const part of splitList(text, /[,\n]/)) {
    const result = readUrl(part);
    if (result.kind === 'value') urls.push(result.value);
    else messages.push(...result.messages);
  }
  if (urls.length === 0 && messages.length === 0) messages.push('names no URL');
  return messages.length === 0 ? value([...new Set(urls)]) : wrong(...messages);
}
