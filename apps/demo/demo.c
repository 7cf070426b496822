// The demonstration application: a static HTTP server of one process that says who answered.
//
//   GET /         a page with the pod's name and how many requests it has answered
//   GET /healthz  "ok", for probes
//
// Listens on [::]:8080 in both families. On SIGTERM it stops accepting, finishes what it has begun
// and leaves: the signal arrives only while it waits for the next connection.

#define _GNU_SOURCE

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { kPort = 8080, kRequestBytesMax = 4096, kReadMillisMax = 2000, kBacklog = 128 };

static volatile sig_atomic_t stopping = 0;

static void on_term(int signal_number) {
  (void)signal_number;
  stopping = 1;
}

static void write_all(int fd, const char* text, size_t size) {
  while (size > 0) {
    const ssize_t written = send(fd, text, size, MSG_NOSIGNAL);
    if (written <= 0) return;
    text += written;
    size -= (size_t)written;
  }
}

static void respond(int fd, const char* status, const char* type, const char* body) {
  char head[256];
  const int size = snprintf(
      head, sizeof head,
      "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n", status,
      type, strlen(body));
  write_all(fd, head, (size_t)size);
  write_all(fd, body, strlen(body));
}

// Reads until the blank line that ends the request's head. 0 when it does not come in time.
static int read_request(int fd, char* request) {
  size_t size = 0;
  while (size < kRequestBytesMax - 1) {
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    if (poll(&waiting, 1, kReadMillisMax) <= 0) return 0;
    const ssize_t count = read(fd, request + size, kRequestBytesMax - 1 - size);
    if (count <= 0) return 0;
    size += (size_t)count;
    request[size] = '\0';
    if (strstr(request, "\r\n\r\n")) return 1;
  }
  return 0;
}

static void serve(int fd, const char* host, unsigned long answered) {
  char request[kRequestBytesMax];
  if (!read_request(fd, request)) return;
  if (strncmp(request, "GET /healthz ", 13) == 0) {
    respond(fd, "200 OK", "text/plain", "ok\n");
  } else if (strncmp(request, "GET / ", 6) == 0) {
    char body[1024];
    snprintf(
        body, sizeof body,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>HyperMesh demo</title>\n"
        "<body><h1>It runs</h1>\n<p>Answered by pod <b>%s</b>, request %lu.</p>\n"
        "<p>Scale it: <code>hm scale demo 3</code>, then load this page again.</p></body></html>\n",
        host, answered);
    respond(fd, "200 OK", "text/html; charset=utf-8", body);
  } else {
    respond(fd, "404 Not Found", "text/plain", "not found\n");
  }
}

int main(void) {
  sigset_t ending, none;
  sigemptyset(&none);
  sigemptyset(&ending);
  sigaddset(&ending, SIGTERM);
  sigaddset(&ending, SIGINT);
  sigprocmask(SIG_BLOCK, &ending, NULL);
  const struct sigaction term = {.sa_handler = on_term};
  sigaction(SIGTERM, &term, NULL);
  sigaction(SIGINT, &term, NULL);

  char host[256] = "unknown";
  gethostname(host, sizeof host - 1);

  const int listener = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int off = 0, on = 1;
  setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const struct sockaddr_in6 address = {
      .sin6_family = AF_INET6, .sin6_port = htons(kPort), .sin6_addr = in6addr_any};
  if (listener < 0 || bind(listener, (const struct sockaddr*)&address, sizeof address) != 0 ||
      listen(listener, kBacklog) != 0) {
    fprintf(stderr, "demo: cannot listen on port %d: %s\n", kPort, strerror(errno));
    return 1;
  }
  printf("demo: %s listens on port %d\n", host, kPort);
  fflush(stdout);

  unsigned long answered = 0;
  while (!stopping) {
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    if (ppoll(&waiting, 1, NULL, &none) <= 0) continue;
    const int fd = accept(listener, NULL, NULL);
    if (fd < 0) continue;
    serve(fd, host, ++answered);
    close(fd);
  }
  // Connections that the kernel has accepted for us are answered before the socket goes.
  for (;;) {
    struct pollfd waiting = {.fd = listener, .events = POLLIN};
    if (poll(&waiting, 1, 0) <= 0) break;
    const int fd = accept(listener, NULL, NULL);
    if (fd < 0) break;
    serve(fd, host, ++answered);
    close(fd);
  }
  printf("demo: %s stops after %lu requests\n", host, answered);
  return 0;
}
