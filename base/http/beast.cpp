// Beast and the TLS part of Asio are compiled once, here.
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
