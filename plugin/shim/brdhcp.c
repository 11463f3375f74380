/* The CNI executable, compiled: the twin of the file `brdhcp` beside it, for machines with a compiler.
 *
 * Both carry one call to the agent, and the agent's answer back; the other one says how, and what goes over the wire.
 * This one is there in a tenth of the time that an interpreter takes to start, which is most of what a DEL costs. The
 * same tests hold both. Linked statically it runs under any Linux from 3.2 on, whatever its C library:
 *
 *     cc -std=c11 -Os -static -o brdhcp brdhcp.c
 */

#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SUPPORTED "\"0.1.0\", \"0.2.0\", \"0.3.0\", \"0.3.1\", \"0.4.0\", \"1.0.0\", \"1.1.0\""
#define COMMANDS "it must be one of ADD, DEL, CHECK, STATUS, GC, VERSION"
#define START "start the agent: systemctl start brdhcpd (or run brdhcpd); its log: journalctl -u brdhcpd"
#define OTHER "is that the agent's socket (ipam.daemonSocketPath, BRDHCP_SOCKET), and of the same release?"
#define DEADLINE_S 110.0
enum { LARGEST = 1 << 20 };

struct bytes {
    char *data;
    size_t size;
};

extern char **environ;
static struct bytes conf; /* standard input: the network configuration */

static const char *variable(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

static bool write_all(int fd, struct bytes all)
{
    while (all.size) {
        ssize_t done = write(fd, all.data, all.size);
        if (done < 0)
            return false;
        all.data += done;
        all.size -= done;
    }
    return true;
}

/* All that can be read from `fd`. */
static struct bytes read_all(int fd)
{
    struct bytes all = {NULL, 0};
    ssize_t got = 0;
    do {
        all.size += got;
        all.data = realloc(all.data, all.size + 65536);
    } while (all.data && (got = read(fd, all.data + all.size, 65536)) > 0);
    return all;
}

static _Noreturn void answer(int status, struct bytes out)
{
    _exit(write_all(1, out) ? status : 1);
}

/* As printf(3), into memory of its own. */
static char *words(const char *format, ...)
{
    char *said = NULL;
    va_list values;
    va_start(values, format);
    if (vasprintf(&said, format, values) < 0)
        _exit(1);
    va_end(values);
    return said;
}

/* The length of the UTF-8 sequence that `text` begins with, 0 when there is none (RFC 3629). */
static int utf8(const unsigned char *text)
{
    int more = *text < 0x80 ? 0 : *text >= 0xc2 && *text < 0xe0 ? 1 : (*text & 0xf0) == 0xe0 ? 2 : 3;
    if (*text > 0xf4 || (*text >= 0x80 && *text < 0xc2))
        return 0;
    for (int i = 1; i <= more; i++)
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    unsigned second = text[1];
    bool wrong = (*text == 0xe0 && second < 0xa0) || (*text == 0xed && second > 0x9f) ||
                 (*text == 0xf0 && second < 0x90) || (*text == 0xf4 && second > 0x8f);
    return wrong ? 0 : more + 1;
}

static void put_json_string(FILE *out, const char *text)
{
    putc('"', out);
    for (int length; *text; text += length ? length : 1) {
        length = utf8((const unsigned char *)text);
        if (!length)
            fputs("\\ufffd", out);
        else if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < ' ' || *text == 0x7f)
            fprintf(out, "\\u%04x", *text);
        else
            fwrite(text, 1, length, out);
    }
    putc('"', out);
}

/* The value of the first `"key": "..."` in the configuration, crudely, else `otherwise`. */
static const char *string_of(const char *key, const char *otherwise)
{
    char quoted[32];
    int length = snprintf(quoted, sizeof quoted, "\"%s\"", key);
    const char *at = conf.size ? memmem(conf.data, conf.size, quoted, length) : NULL;
    int colons = 0;
    if (!at)
        return otherwise;
    const char *end = conf.data + conf.size;
    for (at += length; at < end && (isspace((unsigned char)*at) || *at == ':'); at++)
        colons += *at == ':';
    if (at == end || colons != 1 || *at++ != '"')
        return otherwise;
    const char *close = memchr(at, '"', end - at);
    if (!close || memchr(at, '\\', close - at))
        return otherwise;
    return strndup(at, close - at);
}

/* The error object of the CNI SPEC, section "Error", as the answer. */
static _Noreturn void refuse(int code, const char *message, const char *details)
{
    struct bytes out;
    FILE *text = open_memstream(&out.data, &out.size);
    fputs("{\"cniVersion\": ", text);
    put_json_string(text, string_of("cniVersion", "0.1.0"));
    fprintf(text, ", \"code\": %d, \"msg\": ", code);
    put_json_string(text, message);
    fputs(", \"details\": ", text);
    put_json_string(text, details);
    fputs("}\n", text);
    fclose(text);
    answer(1, out);
}

static _Noreturn void version(void)
{
    struct bytes out;
    FILE *text = open_memstream(&out.data, &out.size);
    fputs("{\"cniVersion\": ", text);
    put_json_string(text, string_of("cniVersion", "1.1.0"));
    fputs(", \"supportedVersions\": [" SUPPORTED "]}\n", text);
    fclose(text);
    answer(0, out);
}

/* `name` as part of a file name; no two names give the same. */
static void put_escaped(FILE *out, const char *name)
{
    for (; *name; name++)
        if (isalnum((unsigned char)*name) || *name == '_' || *name == '.')
            putc(*name, out);
        else
            fprintf(out, "%%%x%%", (unsigned char)*name);
}

/* Write the request down for the agent to do later: on disk, whole or not at all. False with errno set. */
static bool spool(struct bytes body)
{
    struct bytes name;
    const char *folder = variable("BRDHCP_SPOOL", "/var/lib/brdhcp/spool");
    FILE *text = open_memstream(&name.data, &name.size);
    put_escaped(text, variable("CNI_CONTAINERID", ""));
    putc('-', text);
    put_escaped(text, variable("CNI_IFNAME", ""));
    fclose(text);
    const char *temporary = words(".%s.%d", name.data, getpid());
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return false;
    int in = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (in < 0)
        return false;
    int file = openat(in, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0)
        return false;
    if (write_all(file, body) && !fsync(file) && !renameat(in, temporary, in, words("%s.del", name.data)))
        return !fsync(in);
    int why = errno;
    unlinkat(in, temporary, 0);
    errno = why;
    return false;
}

/* What to answer without the agent's answer: a DEL is written down for it, the rest may come again. */
static _Noreturn void without_agent(const char *command, struct bytes body, const char *why)
{
    if (!strcmp(command, "DEL")) {
        if (spool(body))
            _exit(0);
        why = words("%s; and the DEL could not be written down: %s", why, strerror(errno));
    }
    refuse(strcmp(command, "STATUS") ? 11 : 50, words("the agent brdhcpd is not available: %s", why), START);
}

static double now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

/* `option` is SO_SNDTIMEO (of connect, too) or SO_RCVTIMEO; there is always a little time left. */
static void allow(int sock, int option, double seconds)
{
    if (seconds < 0.001)
        seconds = 0.001;
    struct timeval most = {seconds, (seconds - (long)seconds) * 1e6};
    setsockopt(sock, SOL_SOCKET, option, &most, sizeof most);
}

static bool send_request(int sock, struct bytes body, int netns)
{
    char header[32];
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec parts[] = {{header, snprintf(header, sizeof header, "BRDHCP/1 %zu\n", body.size)},
                            {body.data, body.size}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (netns >= 0) {
        message.msg_control = control.space;
        message.msg_controllen = sizeof control.space;
        struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(sizeof netns);
        memcpy(CMSG_DATA(rights), &netns, sizeof netns);
    }
    ssize_t sent = sendmsg(sock, &message, MSG_NOSIGNAL);
    size_t whole = parts[0].iov_len + body.size;
    while (sent >= 0 && (size_t)sent < whole) { /* the header is far smaller than what a socket takes at once */
        ssize_t more = send(sock, body.data + (sent - parts[0].iov_len), whole - sent, MSG_NOSIGNAL);
        sent = more < 0 ? more : sent + more;
    }
    return sent >= 0;
}

/* Send the request, return all that comes back; `data` is NULL, and errno set, when nothing can. */
static struct bytes ask(const char *path, struct bytes body, int netns, double deadline)
{
    struct bytes heard = {NULL, 0}, nothing = {NULL, 0};
    struct sockaddr_un there = {.sun_family = AF_UNIX};
    double end = now() + deadline;
    if (strlen(path) >= sizeof there.sun_path) {
        errno = ENAMETOOLONG;
        return nothing;
    }
    strcpy(there.sun_path, path);
    int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0)
        return nothing;
    allow(sock, SO_SNDTIMEO, deadline);
    if (connect(sock, (struct sockaddr *)&there, sizeof there) < 0 || !send_request(sock, body, netns))
        return nothing;
    for (;;) {
        heard.data = realloc(heard.data, heard.size + 65536 + 1);
        allow(sock, SO_RCVTIMEO, end - now());
        ssize_t got = heard.data ? recv(sock, heard.data + heard.size, 65536, 0) : -1;
        if (got == 0)
            break;
        if (got < 0)
            return nothing;
        heard.size += got;
        if (now() >= end) {
            errno = EAGAIN;
            return nothing;
        }
    }
    heard.data[heard.size] = 0;
    return heard;
}

/* The body of the request: the variables, NUL-terminated, an empty one, the configuration. */
static struct bytes request(bool ipam)
{
    struct bytes body;
    FILE *out = open_memstream(&body.data, &body.size);
    for (char **each = environ; *each; each++)
        if (!strncmp(*each, "CNI_", 4))
            fwrite(*each, 1, strlen(*each) + 1, out);
    fprintf(out, "BRDHCP_ROLE=%s%c%c", ipam ? "ipam" : "main", 0, 0);
    fwrite(conf.data, 1, conf.size, out);
    fclose(out);
    return body;
}

static double patience(void)
{
    const char *seconds = variable("BRDHCP_DEADLINE", "");
    return *seconds && strspn(seconds, "0123456789.") == strlen(seconds) ? strtod(seconds, NULL) : DEADLINE_S;
}

static _Noreturn void call(const char *command, bool ipam)
{
    struct bytes body = request(ipam);
    const char *path = variable("BRDHCP_SOCKET", string_of("daemonSocketPath", "/run/brdhcp/agent.sock"));
    if (body.size > LARGEST)
        refuse(7, words("the request is %zu bytes long", body.size), words("at most %d are taken", LARGEST));
    int netns = open(variable("CNI_NETNS", ""), O_RDONLY | O_CLOEXEC);
    struct bytes heard = ask(path, body, netns, patience());
    if (!heard.data)
        without_agent(command, body, errno == EAGAIN ? words("no answer from %s within %g s", path, patience())
                                                     : words("%s: %s", path, strerror(errno)));
    bool known = heard.size >= 2 && (heard.data[0] == '0' || heard.data[0] == '1') && heard.data[1] == '\n';
    if (heard.size && !known)
        refuse(999, words("%s does not speak brdhcp's protocol: %.60s", path, heard.data), OTHER);
    struct bytes out = {heard.data + 2, known ? heard.size - 2 : 0};
    size_t text = out.size;
    while (text && isspace((unsigned char)out.data[text - 1]))
        text--;
    bool nothing = known && heard.data[0] == '0' && !out.size && strcmp(command, "ADD");
    if (nothing || (text && out.data[text - 1] == '}'))
        answer(heard.data[0] - '0', out);
    without_agent(command, body, words("%s: the connection closed before the whole answer came", path));
}

int main(int argc, char **argv)
{
    static const char hello[] = "brdhcp is a CNI plugin: a container runtime starts it, with the CNI_* variables set\n";
    static const char *const commands[] = {"ADD", "DEL", "CHECK", "STATUS", "GC", "VERSION"};
    const char *command = variable("CNI_COMMAND", "");
    size_t length = argc > 0 ? strlen(argv[0]) : 0, one = 0;
    if (!*command)
        (void)!write(2, hello, sizeof hello - 1);
    if (!isatty(0))
        conf = read_all(0);
    if (!*command)
        refuse(4, "CNI_COMMAND is missing", COMMANDS);
    while (one < 6 && strcmp(command, commands[one]))
        one++;
    if (one == 6)
        refuse(4, words("CNI_COMMAND is \"%s\"", command), COMMANDS);
    if (!strcmp(command, "VERSION"))
        version();
    call(command, length >= 5 && !strcmp(argv[0] + length - 5, "-ipam"));
}
