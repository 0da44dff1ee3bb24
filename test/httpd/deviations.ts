import type { Outcome, Row } from './compare.ts'

/** A deliberate difference from httpd. */
export interface Deviation {
  readonly name: string
  readonly reason: string
  /** Whether this deviation explains the whole difference of the two outcomes. */
  readonly applies: (row: Row, httpd: Outcome, ours: Outcome) => boolean
}

const upgradeOf = (request: string): string | undefined => /\r\nupgrade: *([^\r]*)/i.exec(request)?.[1]

const connectionNamesUpgrade = (request: string): boolean => /\r\nconnection:[^\r]*\bupgrade\b/i.test(request)

/** Whether the request was served as plain HTTP, or refused with 400 because its route serves only upgrades. */
const isPlain = ({ seen, status }: Outcome): boolean =>
  status === '400' || (seen !== undefined && !seen.fields.some(field => field.startsWith('upgrade:')))

/** The outcome without the spelling of the token. */
const anySpelling = (outcome: Outcome): string =>
  JSON.stringify(outcome)
    .replaceAll(/websocket"/gi, 'websocket"')
    .replaceAll(/Upgrade: websocket/gi, '')
    .replaceAll(/(?:\\r\\n)+(?:Connection: Upgrade(?:\\r\\n)*)*/g, ' ')

export const DEVIATIONS: readonly Deviation[] = [
  {
    name: 'nocanon beside the access control of a <Proxy>',
    reason:
      'httpd compares such a section with the raw path, which another spelling of the path gets past; the decoded path counts',
    applies: ({ request, conf }, httpd, ours) =>
      /^<Proxy http/m.test(conf) &&
      /nocanon/.test(conf) &&
      /^\S+ [^ ?]*%/.test(request) &&
      ours.status === '403' &&
      httpd.seen !== undefined,
  },
  {
    name: 'two Authorization fields',
    reason: 'it is ambiguous which one counts: 401; httpd joins them and reads the beginning',
    applies: ({ request }, _, ours) =>
      (request.match(/\r\nauthorization:/gi)?.length ?? 0) > 1 && ours.status === '401',
  },
  {
    name: 'a line break in a value',
    reason:
      'a line break that a value has from the request becomes a space; httpd sends it to the backend, and responds with 500 to one in a response',
    applies: ({ request, conf }, httpd, ours) =>
      /%0a/i.test(request) &&
      ((/^Header .*expr=/m.test(conf) && httpd.status === '500' && ours.status === '200') ||
        (/^RequestHeader .*expr=/m.test(conf) &&
          JSON.stringify(httpd).replaceAll('\\n', ' ') === JSON.stringify(ours))),
  },
  {
    name: 'a request that is not proxied goes to the app',
    reason: 'httpd serves files with GET and HEAD alone, and responds with 405 to other methods; here the app responds',
    applies: ({ request }, httpd, ours) =>
      !/^(?:GET|HEAD) /.test(request) &&
      httpd.status === '405' &&
      ours.status === '404' &&
      httpd.seen === undefined &&
      ours.seen === undefined,
  },
  {
    name: 'no Connection: upgrade',
    reason:
      'RFC 9110 7.8 requires it, and a request without it may have passed a proxy that does not know upgrades; httpd does not check it',
    applies: ({ request }, _, ours) =>
      upgradeOf(request) !== undefined && !connectionNamesUpgrade(request) && isPlain(ours),
  },
  {
    name: 'HTTP/1.0 upgrade',
    reason: 'RFC 9110 7.8 forbids it; httpd opens a tunnel and never sends the 101',
    applies: ({ request }, _, ours) =>
      request.includes(' HTTP/1.0\r\n') && upgradeOf(request) !== undefined && isPlain(ours),
  },
  {
    name: 'upgrade with a body',
    reason:
      'two parsers may disagree on whether a body ends before the switch, which allows request smuggling; the request is served as HTTP with its body',
    applies: ({ request }, _, ours) =>
      upgradeOf(request) !== undefined && /\r\n(?:content-length|transfer-encoding):/i.test(request) && isPlain(ours),
  },
  {
    name: 'a list of tokens',
    reason:
      'RFC 9110 7.8 defines Upgrade as a list: only the allowed token goes to the backend; httpd compares the whole value, or its beginning',
    applies: ({ request }, _, { seen, status }) =>
      upgradeOf(request)?.includes(',') === true &&
      status === '101' &&
      seen?.fields.some(field => /^upgrade: [^,]+$/.test(field)) === true,
  },
  {
    name: 'h2c must be listed by name',
    reason:
      'a backend that accepts it speaks HTTP/2 to the client and bypasses every rule; httpd forwards it under ANY',
    applies: ({ request }, _, ours) => upgradeOf(request) === 'h2c' && isPlain(ours),
  },
  {
    name: "the client's spelling of the token",
    reason:
      'every route sends the token in the client\'s spelling; with the fallback off httpd writes "WebSocket", which means the same',
    applies: (_, httpd, ours) => anySpelling(httpd) === anySpelling(ours),
  },
  {
    name: 'a response has a status line',
    reason: 'with the fallback off httpd sends the page of its 502 without a head, which no client can read',
    applies: (_, httpd, ours) => httpd.status === 'nothing' && ours.status === '502',
  },
  {
    name: 'no slash between the target and the path',
    reason:
      'the path would become part of the port or the host: 403, without a request to a backend; httpd fails with 500, or 400 under nocanon',
    applies: (_, httpd, ours) =>
      (httpd.status === '500' || httpd.status === '400') &&
      httpd.seen === undefined &&
      ours.status === '403' &&
      ours.seen === undefined,
  },
  {
    name: 'a captured question mark',
    reason:
      'a "?" that a pattern captured is refused; httpd does so for RewriteRule since CVE-2024-38474 but not for ProxyPassMatch',
    applies: ({ request, conf }, _, ours) =>
      /%3f/i.test(request) && conf.includes('ProxyPassMatch') && ours.status === '403',
  },
  {
    name: 'nocanon and dot segments',
    reason: 'a raw path that leads upwards would leave the path of the line; it is sent in its canonical form',
    applies: ({ conf, request }, httpd, ours) => {
      const climbs = ({ seen }: Outcome): boolean =>
        /\/\.\.(?:\/|$)/.test(seen?.line.replace(/ HTTP.*|\?.*/s, '') ?? '')
      const fails = httpd.status === '500' && httpd.seen === undefined && /^\S+ [^? ]*\/\.\.[/? ]/.test(request)
      return conf.includes('nocanon') && (climbs(httpd) || fails) && !climbs(ours)
    },
  },
  {
    name: 'an empty path is "/"',
    reason: 'under nocanon httpd appends the query to a host without a path, and responds with 400',
    applies: ({ request, conf }, httpd, ours) =>
      conf.includes('nocanon') &&
      /^[A-Z]+ [^ ?]*\/\?/.test(request) &&
      httpd.status === '400' &&
      / \/\?/.test(ours.seen?.line ?? ''),
  },
  {
    name: 'kept slashes and dot segments',
    reason: 'a backend that decodes %2F..%2F would leave the path of the line: 400',
    applies: ({ request, conf }, _, ours) =>
      /AllowEncodedSlashes NoDecode/i.test(conf) &&
      /^[^\r]*%2f\.{1,2}(?:%2f|[/? ])/i.test(request) &&
      ours.status === '400',
  },
  {
    name: 'kept slashes stay as they are',
    reason:
      'AllowEncodedSlashes NoDecode: httpd encodes %2F again inside a section, and responds with 400 to a path with %25',
    applies: ({ request, conf }, httpd, ours) =>
      /AllowEncodedSlashes NoDecode/i.test(conf) &&
      ((/%25/.test(request) && httpd.status === '400') ||
        (/%25/.test(request) && httpd.seen?.line.replaceAll('%25', '%') === ours.seen?.line.replaceAll('%25', '%')) ||
        httpd.seen?.line.replace(/%(?:25)*2f/gi, '%2F') === ours.seen?.line.replace(/%(?:25)*2f/gi, '%2F')),
  },
  {
    name: 'the page of an overridden error',
    reason:
      "with ProxyErrorOverride On the app's error handler writes the page, not httpd; status and challenge are the same",
    applies: ({ conf }, httpd, ours) =>
      /ProxyErrorOverride On/i.test(conf) &&
      httpd.status === ours.status &&
      httpd.body.startsWith('<!DOCTYPE') &&
      httpd.fields.filter(field => !field.startsWith('content-type:')).join() === ours.fields.join(),
  },
  {
    name: 'nocanon after [PT]',
    reason: 'httpd sends the path that the client wrote and ignores the rule; here the rewritten path is sent',
    applies: ({ conf }, httpd, ours) =>
      /nocanon/.test(conf) &&
      /RewriteRule .*\bPT\b/.test(conf) &&
      httpd.status === ours.status &&
      httpd.seen !== undefined &&
      ours.seen !== undefined,
  },
  {
    name: 'Header edits the 101 too',
    reason:
      'cookies and security fields belong on the 101 as on any response; httpd sends the 101 as an interim response, which mod_headers does not process',
    applies: ({ conf }, httpd, ours) =>
      /^Header /m.test(conf) &&
      ours.status === '101' &&
      httpd.status === '101' &&
      JSON.stringify(httpd.seen) === JSON.stringify(ours.seen),
  },
  {
    name: 'an encoded slash that a dot segment removes',
    reason: 'the path is checked as the client wrote it, before dot segments are removed: 404',
    applies: ({ request, conf }, _, ours) =>
      !/AllowEncodedSlashes/i.test(conf) && /^[^ ]+ [^ ?]*%2f[^ ?]*\/\.\./i.test(request) && ours.status === '404',
  },
  {
    name: 'raw bytes in a request target',
    reason: "RFC 3986 allows only ASCII; Node's parser responds with 400 before any middleware runs",
    applies: ({ request }, _, ours) => /^[^\r]*[\x80-\xff]/.test(request) && ours.status === '400',
  },
  {
    name: 'a path that no line matches goes to the app',
    reason:
      'httpd checks every request target; a middleware checks only those that it serves, and the app responds to the others',
    applies: (_, httpd, ours) =>
      httpd.status === '400' && httpd.seen === undefined && ours.status === '404' && ours.seen === undefined,
  },
  {
    name: 'the product in Via',
    reason: 'this product is not Apache',
    applies: (_, httpd, ours) =>
      JSON.stringify(httpd).replaceAll(/\(Apache\/[\d.]+\)/g, '(ws-tunnel)') === JSON.stringify(ours),
  },
  {
    name: 'fields that Connection cannot remove',
    reason:
      'X-Forwarded-For and similar fields stay, whatever the client names in Connection (CVE-2022-31813 and later ones)',
    applies: ({ request }, httpd, ours) => {
      const rest = ({ seen }: Outcome): string[] => seen?.fields.filter(field => !/^x-forwarded-for:/.test(field)) ?? []
      return (
        /\r\nconnection:[^\r]*x-forwarded-for/i.test(request) &&
        JSON.stringify(rest(httpd)) === JSON.stringify(rest(ours))
      )
    },
  },
]
