import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { suite, test } from 'node:test'
import { record } from '../../support/backend.ts'
import { upgradeRequest } from '../../support/client.ts'
import { eventually, within } from '../../support/gate.ts'
import { startBackend } from '../../support/harness.ts'
import { peer } from '../../support/peers.ts'
import { startChildGateway } from '../../support/standstill.ts'

const perl = peer('Perl', () => spawnSync('perl', ['-MSocket', '-e', '1']).status === 0)

// A client that opens a tunnel and prints a line. For each argument after the two first it then sends so many bytes `a`,
// and after each but the last one urgent byte, which Node cannot send. Then it sends FIN if the input says `fin`.
const CLIENT = `
use Socket;
use IO::Handle;
my ($port, $head, @sizes) = @ARGV;
socket(my $socket, PF_INET, SOCK_STREAM, 0) or die $!;
connect($socket, sockaddr_in($port, inet_aton('127.0.0.1'))) or die $!;
sub out { my $text = shift; while (length $text) { my $sent = send($socket, $text, 0) or die $!; substr($text, 0, $sent, ''); } }
out($head);
my $reply = '';
while ($reply !~ /\\r\\n\\r\\n$/) { recv($socket, my $byte, 1, 0); length $byte or die 'no tunnel'; $reply .= $byte; }
STDOUT->autoflush(1);
print "open\\n";
<STDIN>;
for my $i (0 .. $#sizes) {
  out('a' x $sizes[$i]);
  send($socket, '!', MSG_OOB) if $i < $#sizes;
}
print "sent\\n";
shutdown($socket, 1) if (<STDIN> // '') =~ /fin/;
<STDIN>;
`

/** Bytes before and after each urgent byte. */
const CASES: [what: string, sizes: number[]][] = [
  ['a few bytes', [3, 2]],
  ['bytes of which several are urgent', [3, 2, 4, 1]],
  ['as many bytes as are moved by splice', [200_000, 200_000]],
  ['bytes that begin and end with urgent ones', [0, 100_000, 0]],
]

// The tests mostly wait.
suite('urgent data', { ...perl, concurrency: 4 }, () => {
  for (const fin of [false, true]) {
    for (const [what, sizes] of CASES) {
      test(`passes ${what} on, urgent data among them${fin ? ', and the FIN after them' : ''}`, async t => {
        const backend = await startBackend(t, record())
        const gateway = await startChildGateway(t, { target: backend.url })
        const client = spawn('perl', ['-e', CLIENT, String(gateway.port), upgradeRequest('/'), ...sizes.map(String)])
        t.after(() => client.kill('SIGKILL'))
        let printed = ''
        client.stdout.setEncoding('utf8').on('data', text => {
          printed += text
        })
        client.stderr.pipe(process.stderr)
        await eventually(() => assert.match(printed, /open/), 10_000)
        const connection = await backend.connection()
        // All is sent while the gateway stands still: otherwise it might read the bytes before the mark first.
        await gateway.standStill('stopped by SIGSTOP', async () => {
          client.stdin.write('send\n')
          await eventually(() => assert.match(printed, /sent/))
          client.stdin.write(fin ? 'fin\n' : 'no\n')
        })
        const total = sizes.reduce((sum, size) => sum + size, 0)
        // The kernel takes all urgent bytes but the last for ordinary ones if it has several.
        const ordinary = (bytes: Buffer): number => bytes.filter(byte => byte !== 0x21).length
        if (fin) {
          const received = await within(5_000, 'the FIN', connection.readAll())
          assert.equal(ordinary(received), total)
        } else {
          await eventually(() => assert.equal(ordinary(connection.pending), total), 5_000)
          assert.deepEqual(gateway.ends, [])
          const before = connection.pending.length
          client.stdin.end()
          await once(client, 'exit')
          assert.equal((await within(5_000, 'the FIN', connection.readAll())).length, before)
        }
      })
    }
  }
})
